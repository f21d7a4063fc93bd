"""Where a run lies: in a directory of this machine, or behind a URL with a mirror here."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.runs.directory import RunDirectory
from jaxemb.signals import StopRequest
from jaxemb.training.display import Display


def is_remote(output_dir: str) -> bool:
    """Whether it is a URL."""
    return "://" in output_dir


def check_local(model: str | Path) -> None:
    """Raises UsageError where a model or run that is to be read is a URL."""
    if is_remote(str(model)):
        raise UsageError(
            f"{model}: is not on this machine. A finished run, or its export/, is whole at its URL: copy it here "
            "(`gcloud storage cp --recursive`, `aws s3 cp --recursive`) and name the copy"
        )


class LocalPlace:
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


def place_of(config: TrainConfig, display: Display, stop: StopRequest) -> LocalPlace:
    """The place that `output_dir` names."""
    if not is_remote(str(config.output_dir)):
        return LocalPlace(RunDirectory(Path(str(config.output_dir)).expanduser()))
    from jaxemb.training.remote import RemotePlace

    return RemotePlace(config, display, stop)
