"""Replay: published curves, deterministic events, record batches to Kafka, and the tally of what to expect."""
