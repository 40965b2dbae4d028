"""Tests of the language of mappings."""
