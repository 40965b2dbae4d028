"""A night on this machine, from its topics to its audit: the demo and rehearsals perform it, their commands print."""
