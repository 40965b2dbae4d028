"""Tests that start the real commands on a real broker and break them."""
