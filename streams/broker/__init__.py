"""The embedded Apache Kafka: its jars, its process, its address file."""
