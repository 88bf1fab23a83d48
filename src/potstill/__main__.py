"""`python -m potstill` is the command `potstill`."""

from potstill.cli.main import main

main()
