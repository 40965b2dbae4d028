"""The ledger on Kafka: its store, how it is read back and followed, and how it is counted anew."""
