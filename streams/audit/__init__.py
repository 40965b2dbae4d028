"""The audit: recounts the source topics by other code and another engine, and compares with the ledger.

Nothing here imports what decides a count in the worker: of `streams.domain` only `pages`, without which nobody
could read the ledger. Code of this package's own judges records, tells duplicates apart, and reads festivals and
currencies. SQL in DuckDB makes the totals.
"""
