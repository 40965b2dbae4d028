"""The committed, cluster-wide view of the ledger: tables, totals, series. Reads, never counts."""
