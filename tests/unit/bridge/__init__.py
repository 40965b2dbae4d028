"""Tests of the bridge without a broker."""
