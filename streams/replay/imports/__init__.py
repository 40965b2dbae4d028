"""Orders out of files: CSV, NDJSON and Parquet onto `orders`, each row once, however often the import is killed."""
