"""What is certainly true of a replay: the numbers that its broker acknowledged, to compare totals with."""
