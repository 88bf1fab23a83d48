"""Records in files: JSONL, gz, zst, Parquet, CSV and text."""
