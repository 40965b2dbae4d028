"""Tests of what is asked of the committed view."""
