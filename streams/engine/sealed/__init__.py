"""A finished festival in one file: its form, as values and bytes. `streams.sealed_files` reads and writes files."""
