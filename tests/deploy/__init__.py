"""Tests of what lies in `deploy/`: against the real tools where the machine has them."""
