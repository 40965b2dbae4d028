"""The audit of a bridge: the sources translated again by a plain interpreter, and compared with what was sent.

It shares the map's parser and the decoders with the bridge, and nothing that translates.
"""
