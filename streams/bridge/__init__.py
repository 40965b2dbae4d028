"""The bridge: foreign topics translated onto the four topics by a map, exactly once.

`map` is the language, `decoding` the encodings, `translation` makes events of records, `processor` makes checkpoints
of batches, `run` joins the group. `docs/bridge.md` explains it to users.
"""
