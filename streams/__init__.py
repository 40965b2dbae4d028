"""Count a shopping festival live and exactly: Kafka in, committed totals out."""

__version__ = "0.1.0"
