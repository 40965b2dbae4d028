"""Tests of what is committed."""
