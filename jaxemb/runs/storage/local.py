"""A run in a directory on this machine."""

import contextlib
from collections.abc import Iterator

from jaxemb import distributed
from jaxemb.runs.directory import RunDirectory


class LocalStorage:
    """A run directory on this machine."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def __str__(self) -> str:
        return str(self.run.path)

    @contextlib.contextmanager
    def opened(self, resume: bool) -> Iterator[None]:
        """Locks the run against others; the processes enter when the primary process has.

        Raises:
          UsageError: if no run may start or resume here.
        """
        with self.run.locked(resume) if distributed.is_first() else contextlib.nullcontext():
            distributed.wait_for_all("the run directory")
            yield

    def begin(self) -> None:
        """Called before the first step, when the run directory has its config."""
