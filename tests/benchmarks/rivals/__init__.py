"""The same work on Kafka Streams and on Flink: `python -m tests.benchmarks.rivals` (docs/benchmarks.md)."""
