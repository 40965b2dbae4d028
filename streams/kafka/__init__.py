"""The adapters to Apache Kafka."""
