"""Units of files behind an fsspec URL: whole or not there.

Object stores have no rename. A unit is uploaded object by object, and its manifest, with the name, size and SHA-256 of
each, is written last: that is the commit. A unit that goes loses its manifest first. What no manifest names does not
exist; a manifest that was cut off, or was changed, is none.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from fsspec.core import url_to_fs

from jaxemb.errors import CannotWrite, UsageError, UserError
from jaxemb.runs.storage.units import NotAManifest, Object, Unit, is_same, object_of, unit_of

WAITS = (1.0, 5.0, 25.0)
"""Seconds between tries of what the network or the store refuses."""
SERVICE = "_jaxemb/"
FILES = f"{SERVICE}files/"
"""Objects that are named by their SHA-256: a small file has one for each content."""
_COMMITS, _OWNER = f"{SERVICE}commits/", f"{SERVICE}owner.json"
_SWEPT = ("checkpoints/", "export/", FILES)
# These have no folders: where a bucket is missing, making one would make the bucket.
_BUCKETS = {"gs", "gcs", "s3", "s3a", "az", "abfs", "abfss", "adl", "oss", "r2"}


class Owner(NamedTuple):
    """Who writes: the newest to have claimed the store."""

    token: str
    host: str
    since: str


class Damaged(Exception):
    """An object of a committed unit is missing or another; the message names it."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"{name} {how}")
        self.name = name


class Taken(UserError):
    """Another process has claimed the store."""


def check_protocol(url: str) -> None:
    """Raises UsageError where no file system for `url` is installed; uses no network."""
    for part in url.split("::"):
        protocol = part.split("://")[0]
        try:
            fsspec.get_filesystem_class(protocol)
        except ValueError:
            raise UsageError(
                f"output_dir: {url}: {protocol}:// is no protocol that fsspec knows; gs://BUCKET/RUN and "
                "s3://BUCKET/RUN are"
            ) from None
        except ImportError as error:
            raise UsageError(
                f"output_dir: {url}: {error} (pip install 'jaxemb[remote]' brings gcsfs and s3fs)"
            ) from None


class Store:
    """The objects below a URL."""

    def __init__(self, url: str, token: str = "") -> None:
        """Opens the file system.

        Args:
          url: any that fsspec reads and writes.
          token: of the owner that this process is to be when it commits.

        Raises:
          UsageError: if it cannot be opened: there are no credentials, say.
        """
        self.url, self.token = url.rstrip("/"), token
        self._has_folders = url.split("://")[0] not in _BUCKETS
        try:
            self._fs, self._root = url_to_fs(self.url)
        except Exception as error:
            raise UsageError(f"output_dir: {url}: cannot be opened ({_reason(error)})") from error

    def check_writable(self) -> None:
        """Writes, reads and removes a small object.

        Raises:
          UsageError: if one of the three is refused.
        """
        name, content = f"{SERVICE}try-{self.token}", self.token.encode()

        def read_back() -> bytes:
            try:
                self._put(name, content)
                read = self._fs.cat_file(self._path(name))
                self._fs.rm_file(self._path(name))
                return read
            except (PermissionError, NotImplementedError) as error:  # which no second try mends
                raise self._refused(error) from error

        try:
            read = self._tried(read_back)
        except UserError:
            raise
        except Exception as error:
            raise self._refused(error) from error
        if read != content:
            raise UsageError(f"output_dir: {self.url}: a small object came back as another")

    def _refused(self, error: Exception) -> UsageError:
        return UsageError(
            f"output_dir: {self.url}: a small object cannot be written, read and removed there ({_reason(error)}); are "
            "the bucket's name and the credentials right?"
        )

    def owner(self) -> Owner | None:
        """The newest to have claimed the store; None of one that nobody has."""
        try:
            return Owner(**json.loads(self._read(_OWNER)))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def claim(self, host: str) -> None:
        """Makes this process the owner: any other finds out before its next commit."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        with self._writing():
            self._tried(self._put, _OWNER, json.dumps(Owner(self.token, host, since)._asdict()).encode())

    def check_owner(self) -> None:
        """Raises Taken if another process has claimed the store."""
        owner = self.owner()
        if owner is None or owner.token != self.token:
            who = (
                "the owner's mark is gone" if owner is None else f"{owner.host} has gone on with it since {owner.since}"
            )
            raise Taken(f"{self.url}: {who}; this process writes there no more")

    def names(self) -> list[str]:
        """The names of the units that have a manifest, be it whole or not."""
        with self._reading():
            names = self._tried(self._list, _COMMITS)
        return [name.removeprefix(_COMMITS).removesuffix(".json") for name in names if name.endswith(".json")]

    def units(self) -> dict[str, Unit]:
        """The committed units by their names.

        Raises:
          UserError: if the store cannot be read.
        """
        found = {}
        for name in self.names():
            with contextlib.suppress(FileNotFoundError, NotAManifest):
                found[name] = unit_of(self._read(_manifest(name)))
        return found

    def commit(
        self, name: str, step: int, files: Mapping[str, tuple[str, Path]], go_on: Callable[[], bool] = lambda: True
    ) -> bool:
        """Uploads a unit, whole or not at all; one of the same name gives way.

        Args:
          name: of the unit.
          step: that it belongs to.
          files: by path in the run directory: the object's name and the file that is read.
          go_on: asked before each object; False gives up.

        Returns: whether it is there now; False if it was given up.

        Raises:
          CannotWrite: if the store refuses it, again and again.
          Taken: if another process has claimed the store.
        """
        objects = {path: object_of(name, file) for path, (name, file) in files.items()}
        unit, there = Unit(step, objects), self.units()
        if there.get(name) == unit:
            return True
        self.check_owner()
        with self._writing():
            if name in self.names():
                self._remove(_manifest(name))
            kept = {one for other, of in there.items() if other != name for one in of.files.values()}
            sizes = self._sizes()
            for path, one in objects.items():
                if not go_on():
                    return False
                if one not in kept or sizes.get(one.name) != one.size:
                    self._tried(self._put, one.name, files[path][1])
            sizes = self._sizes()
            for one in objects.values():
                if sizes.get(one.name) != one.size:
                    raise OSError(f"{one.name} has {sizes.get(one.name)} of {one.size} bytes there")
            self.check_owner()
            self._tried(self._put, _manifest(name), unit.to_json().encode())
        return True

    def keep(self, names: set[str]) -> None:
        """Removes all units but these, and objects of checkpoints and exports that no unit names.

        Raises:
          CannotWrite, Taken: as `commit`.
        """
        self.check_owner()
        with self._writing():
            for name in self.names():
                if name not in names:
                    self._remove(_manifest(name))
            named = {one.name for unit in self.units().values() for one in unit.files.values()}
            for name in self._sizes():
                if name.startswith(_SWEPT) and name not in named:
                    self._remove(name)
            if self._has_folders:
                self._remove_empty_folders({name.split("/")[1] for name in named if name.startswith("checkpoints/")})

    def discard(self, name: str, damaged: str) -> None:
        """Removes a unit and its object that is `damaged`: another unit that names that one, too, gets it anew.

        Raises:
          CannotWrite: if the store refuses it, again and again.
        """
        with self._writing():
            self._remove(_manifest(name))
            self._remove(damaged)

    def download(self, one: Object, path: Path) -> None:
        """Reads an object into a file that is not there yet.

        Raises:
          Damaged: if it is missing, or has another content.
          UserError: if the store cannot be read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._reading():
                self._tried(self._fs.get_file, self._path(one.name), str(path))
        except FileNotFoundError:
            raise Damaged(one.name, "is missing") from None
        if not is_same(one, path):
            raise Damaged(one.name, "has another content than was written")

    def _sizes(self) -> dict[str, int]:
        """The size of every object, by its name."""
        return self._tried(self._list, "")

    def _list(self, folder: str) -> dict[str, int]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._path(folder).rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        begin = self._path("")
        return {str(path).removeprefix(begin): int(info["size"]) for path, info in found.items()}

    def _read(self, name: str) -> bytes:
        with self._reading():
            return self._tried(self._fs.cat_file, self._path(name))

    def _put(self, name: str, content: bytes | Path) -> None:
        path = self._path(name)
        if self._has_folders:
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        if isinstance(content, bytes):
            self._fs.pipe_file(path, content)
        else:
            self._fs.put_file(str(content), path)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._tried(self._fs.rm_file, self._path(name))

    def _remove_empty_folders(self, steps: set[str]) -> None:
        """Removes the folders of all checkpoints but those of these steps."""
        folder = self._path("checkpoints")
        for path in self._fs.ls(folder, detail=False) if self._fs.isdir(folder) else ():
            if str(path).rstrip("/").rsplit("/", 1)[1] not in steps:
                self._fs.rm(path, recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _tried(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Calls, and calls again after a while if that fails: networks do."""
        for seconds in WAITS:
            try:
                return act(*arguments)
            except (FileNotFoundError, UserError):
                raise
            except Exception:  # each store has exceptions of its own
                time.sleep(seconds)
        return act(*arguments)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise CannotWrite(f"{self.url}: cannot be written ({_reason(error)})") from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            raise UserError(f"{self.url}: cannot be read ({_reason(error)})") from error


def _manifest(unit: str) -> str:
    return f"{_COMMITS}{unit}.json"


def _reason(error: BaseException) -> str:
    """One line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
