"""The language of mappings: how a value of somebody else's file becomes a field of an event. No files, no Kafka.

`docs/decisions/0010-mapping-language.md` says why it is as it is; `docs/import.md` explains it to users.
"""
