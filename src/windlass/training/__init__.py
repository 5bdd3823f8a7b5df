"""From a declaration and data to a fitted, scored model."""
