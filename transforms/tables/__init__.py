"""Files of rows as Arrow tables."""
