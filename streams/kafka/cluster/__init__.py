"""The cluster around the ledger: topics, rights, and what the source topics are like now."""
