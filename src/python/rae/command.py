"""The command `rae`, which is part of the package as a program."""

import os
import pathlib
import sys


def main() -> None:
    """Replaces this process by the program."""
    program = pathlib.Path(__file__).parent / "bin" / "rae"
    os.execv(program, [str(program), *sys.argv[1:]])
