"""Tests, by what must be running: nothing, Kafka, the real commands."""
