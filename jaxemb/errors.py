"""Exceptions that the command line shows as a plain message instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: a file, a key or a value. The message names it and the way out."""


class UsageError(UserError):
    """A wrong config or command line: nothing was started (exit code 2)."""


class NotTexts(UsageError, TypeError):
    """Something else than strings where texts are wanted; the message names its place and its type."""


class CannotWrite(UserError):
    """An output cannot be written: the disk is full, say."""


class NotFinite(UserError):
    """A loss or a gradient is infinite or NaN; the message names the step and what was written of it."""


class Stopped(BaseException):
    """Training was stopped by a signal, and `--resume` continues it.

    No `Exception`, as KeyboardInterrupt is none: code that catches those must not swallow it.
    """

    def __init__(self, message: str, exit_code: int, *, together: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.together = together
        """Whether all processes of the run stop."""
