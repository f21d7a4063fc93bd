"""Exceptions that the command line shows as a plain message instead of a traceback."""


class UserError(Exception):
    """A problem that the user can fix: a file, a key or a value. The message names it and the way out."""


class UsageError(UserError):
    """A wrong config or command line; nothing was started (exit code 2)."""


class NotTexts(UsageError, TypeError):
    """An argument that should be texts but is not strings; the message gives its index and its type."""


class CannotWrite(UserError):
    """An output cannot be written, because the disk is full, for example."""


class NotFinite(UserError):
    """A loss or a gradient is infinite or NaN; the message names the step and the files about it."""


class Stopped(BaseException):
    """Training was stopped by a signal, and `--resume` continues it.

    Like KeyboardInterrupt, it is not an `Exception`, so that code that catches exceptions does not swallow it.
    """

    def __init__(self, message: str, exit_code: int, *, together: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.together = together
        """Whether all processes of the run stop."""
