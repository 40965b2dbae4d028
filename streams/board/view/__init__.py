"""What is committed: the ledgers of all partitions together, kept as bytes and added up when somebody looks."""
