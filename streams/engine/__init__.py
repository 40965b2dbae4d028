"""The order of things around one partition's ledger: batches in, checkpoints out, and what a store must promise.

Deterministic, without IO: time comes from a `clock`, and Kafka is behind the protocols of `checkpoint`. The adapters in
`streams.kafka` drive it, and so does the `memory` that stands in for them in tests.
"""
