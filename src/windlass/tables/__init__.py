"""Arrow tables: reading, writing, and validation against the declared row. pyarrow is imported here."""
