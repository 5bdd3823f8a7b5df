"""Arrow tables: reading, writing, and judging them by the declared row. pyarrow is imported here."""
