"""Tests of the built-in festivals, and of which one is meant."""
