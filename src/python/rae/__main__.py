"""`python -m rae` is the command `rae`."""

from .command import main

main()
