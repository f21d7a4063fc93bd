"""Where a run is stored: in a directory of this machine, or behind a URL with a mirror here."""

from collections.abc import Callable
from pathlib import Path

from jaxemb.config import TrainConfig
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.storage.local import LocalStorage
from jaxemb.runs.storage.urls import is_remote
from jaxemb.signals import StopRequest


def storage_of(config: TrainConfig, say: Callable[[str], None], stop: StopRequest) -> LocalStorage:
    """The storage that `output_dir` names.

    Args:
      config: `output_dir`, `data.cache_dir` and what says which checkpoints are kept are used.
      say: is told what happens.
      stop: is asked to stop the run if another machine has taken it over.
    """
    if not is_remote(str(config.output_dir)):
        return LocalStorage(RunDirectory(Path(str(config.output_dir)).expanduser()))
    from jaxemb.runs.storage.remote import RemoteStorage  # fsspec takes a while to import

    return RemoteStorage(config, say, stop)
