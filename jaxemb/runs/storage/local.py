"""A run in a directory of this machine."""

import contextlib
from collections.abc import Iterator

from jaxemb import distributed
from jaxemb.runs.directory import RunDirectory


class LocalStorage:
    """A run directory of this machine."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def __str__(self) -> str:
        return str(self.run.path)

    @contextlib.contextmanager
    def opened(self, resume: bool) -> Iterator[None]:
        """Keeps other runs out; all processes come in when the first one has.

        Raises:
          UsageError: if no run may start here, or go on.
        """
        with self.run.locked(resume) if distributed.is_first() else contextlib.nullcontext():
            distributed.wait_for_all("the run directory")
            yield

    def begin(self) -> None:
        """Called when the run directory says what run it is, before the first step."""
