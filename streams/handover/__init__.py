"""What a festival leaves behind for the next morning and the next edition: its report, its line in the next file."""
