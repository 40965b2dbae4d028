"""`python -m streams.cli`: the `festival` command where its executable is not on the path."""

from streams.cli.main import main

main()
