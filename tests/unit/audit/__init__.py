"""Tests of `streams.audit`."""
