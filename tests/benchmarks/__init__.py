"""How fast: `python -m tests.benchmarks` prints a table of ratios from one run (docs/benchmarks.md)."""
