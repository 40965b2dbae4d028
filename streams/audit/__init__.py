"""The audit: recounts the source topics by other code and another engine, and compares with the ledger.

Nothing here imports what decides a count in the worker (`streams.domain` but for `pages`, which is needed to
read the ledger at all): records are judged, duplicates told apart, festivals and currencies read by this
package's own code, and the totals are made by SQL in DuckDB.
"""
