"""Events out of files: CSV, NDJSON, Parquet and XLSX onto `orders` or `payments`, each row once."""
