"""Tests of what a festival leaves behind."""
