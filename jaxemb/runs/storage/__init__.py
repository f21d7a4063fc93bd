"""The storage of a run: a directory on this machine, or a URL with a local mirror."""

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
      config: `output_dir`, `data.cache_dir` and the settings of which checkpoints to keep are used.
      say: is called with messages.
      stop: is used to stop the run if another machine has taken it over.
    """
    if not is_remote(str(config.output_dir)):
        return LocalStorage(RunDirectory(Path(str(config.output_dir)).expanduser()))
    from jaxemb.runs.storage.remote import RemoteStorage  # fsspec takes a while to import

    return RemoteStorage(config, say, stop)
