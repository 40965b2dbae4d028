"""How fast: `python -m bench` prints a table of ratios from one run (docs/benchmarks.md)."""
