"""Exceptions of rae. All derive from `Error`, and most also from one of Python's own."""

import builtins


class Error(RuntimeError):
    """Base of every exception of the library."""


class ShapeError(Error, ValueError):
    """An array has another shape than the operation needs."""


class FileError(Error, OSError):
    """A file or folder cannot be opened, read, written or renamed."""


class FormatError(Error, ValueError):
    """A file was read, but its contents are not what its format promises."""


class ConfigError(Error, ValueError):
    """A configuration has an unknown key, a wrong type, or values that do not fit each other."""


class ArgumentError(Error, ValueError):
    """An argument is outside its range."""


class NumericError(Error, ArithmeticError):
    """A computation met NaN or infinity where only finite numbers make sense."""


class MemoryError(Error, builtins.MemoryError):  # noqa: A001
    """There is not enough memory."""


class Cancelled(Error):
    """A callback asked to stop."""
