"""Where shards are written: into a folder, or through a folder of this machine to a URL."""

import contextlib
import fcntl
import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from jaxemb.data.shards.index import INDEX, ShardIndex, ShardInfo
from jaxemb.data.shards.manifest import MANIFEST
from jaxemb.data.shards.places import Place, place_of
from jaxemb.errors import UsageError
from jaxemb.files import remove_partial

PLAN = "plan.json"
"""Says which preparation an unfinished folder is of; removed at the end."""


class Output:
    """A folder or URL that receives the files of a preparation, each whole or not at all."""

    def __init__(self, name: str, plan: str, staging: Path) -> None:
        """Opens the place for a preparation.

        Args:
          name: the folder or URL.
          plan: the fingerprint of the preparation.
          staging: a folder of this machine in which files for a URL are written first.

        Raises:
          UsageError: if another preparation is there, finished or not, or other files.
        """
        self.name = name
        self._remote = "://" in name and not name.startswith("file://")
        self.folder = staging if self._remote else Path(name.removeprefix("file://")).expanduser()
        """Where `write_shard` writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(self.folder)
        self._check(plan)
        if self.read(PLAN) is None:
            self._place.write(PLAN, json.dumps({"plan": plan}).encode())

    @functools.cached_property
    def _place(self) -> Place:
        return place_of(self.name)

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the place itself, and needs no lock: this one has it until the end."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_place", "_lock")}

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if there is none."""
        try:
            return self._place.read(name)
        except FileNotFoundError:
            return None

    def _sizes(self) -> dict[str, int]:
        try:
            return self._place.sizes() or {}
        except FileNotFoundError:
            return {}

    def _check(self, plan: str) -> None:
        there = self.read(PLAN)
        if there is not None and json.loads(there)["plan"] == plan:
            return
        if there is None and self.read(MANIFEST) is None and not self._sizes():
            return
        what = "has prepared data" if there is None else "has an unfinished preparation of other data"
        raise UsageError(f"{self.name}: {what}; choose another --output, or remove what is there")

    def finished(self, name: str) -> ShardInfo | None:
        """The shard of this name if it is there, whole; None otherwise."""
        try:
            info = ShardIndex.from_bytes((self.folder / (name + INDEX)).read_bytes()).info
        except (OSError, ValueError):
            return None
        sizes = self._sizes()
        whole = info.name == name and all(sizes.get(file) == size for file, size in info.sizes.items())
        return info if whole else None

    def publish(self, info: ShardInfo) -> None:
        """Takes a written shard to its place, its index last."""
        if not self._remote:
            return
        fs, root = url_to_fs(self.name)
        for name in info.sizes:
            fs.put_file(str(self.folder / name), f"{root}/{name}")
        for name in info.sizes:
            if not name.endswith(INDEX):
                (self.folder / name).unlink()

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        self._place.write(name, content)

    def remove(self, name: str) -> None:
        """Removes a file; does nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            if self._remote:
                fs, root = url_to_fs(self.name)
                fs.rm_file(f"{root}/{name}")
            else:
                (self.folder / name).unlink()

    def finish(self) -> None:
        """Removes what only an unfinished preparation has; call it after the manifest is written.

        Another process that prepares the same may have done so already.
        """
        self.remove(PLAN)
        if not self._lock.nobody_else_has_it():
            return
        if self._remote:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            remove_partial(self.folder)  # of a process that was killed


class _Lock:
    """A lock of a folder that any number of processes have at a time, until they end."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def nobody_else_has_it(self) -> bool:
        """Whether this is the only process that has the lock. False if that cannot be said."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __del__(self) -> None:
        os.close(self._descriptor)
