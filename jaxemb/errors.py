"""Exceptions that the command line shows as a plain message instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: a file, a key or a value. The message names it and the way out."""


class UsageError(UserError):
    """A wrong config or command line: nothing was started (exit code 2)."""


class Stopped(Exception):
    """Training was stopped by a signal after a checkpoint, and `--resume` continues it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
