"""The adapters to Apache Kafka: clients, the worker's group, the ledger, and the cluster around it."""
