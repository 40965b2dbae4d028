"""Tests of the replay, without Kafka."""
