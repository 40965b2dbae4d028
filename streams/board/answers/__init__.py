"""What is asked of the committed view: totals, series, ranks, metrics. Typed values, and views of them."""
