"""The same work on Kafka Streams and on Flink: `python -m bench.rivals` (docs/benchmarks.md)."""
