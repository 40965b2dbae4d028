"""A simulated cluster: a seed draws the world, an oracle that shares no code with the counter says what is right."""
