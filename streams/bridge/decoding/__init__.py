"""Encodings: the bytes of a record into objects, lists, texts and numbers, and what the schema says of a value.

Logical types are not read by the libraries: a time is its integer and a decimal its bytes, exactly as on the wire.
`Leaf` says what they mean.
"""
