"""Units of files behind an fsspec URL: complete or not there.

Object stores have no rename. A unit is uploaded object by object; its manifest, with the name, size and SHA-256 of each
object, is written last, which commits the unit. To remove a unit, its manifest is removed first. An object that no
manifest names does not count, and neither does a truncated or modified manifest.
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
"""Seconds between retries of an operation that the network or the store refuses."""
SERVICE = "_jaxemb/"
FILES = f"{SERVICE}files/"
"""Folder of objects that are named by their SHA-256: a small file has one object for each of its contents."""
_COMMITS, _OWNER = f"{SERVICE}commits/", f"{SERVICE}owner.json"
_SWEPT = ("checkpoints/", "export/", FILES)
# These have no folders; creating one in a missing bucket would create the bucket.
_BUCKETS = {"gs", "gcs", "s3", "s3a", "az", "abfs", "abfss", "adl", "oss", "r2"}


class Owner(NamedTuple):
    """The process that may write: the last one to claim the store."""

    token: str
    host: str
    since: str


class Damaged(Exception):
    """An object of a committed unit is missing or has other content; the message names it."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"{name} {how}")
        self.name = name


class Taken(UserError):
    """Another process has claimed the store."""


def check_protocol(url: str) -> None:
    """Raises UsageError if no file system for `url` is installed; uses no network."""
    for part in url.split("::"):
        protocol = part.split("://")[0]
        try:
            fsspec.get_filesystem_class(protocol)
        except ValueError:
            raise UsageError(
                f"output_dir: {url}: fsspec does not know the protocol {protocol}://; use gs://BUCKET/RUN or "
                "s3://BUCKET/RUN"
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
          url: any URL that fsspec can read and write.
          token: identifies this process as owner when it commits.

        Raises:
          UsageError: if it cannot be opened, for lack of credentials, for example.
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
          UsageError: if one of these operations fails.
        """
        name, content = f"{SERVICE}try-{self.token}", self.token.encode()

        def read_back() -> bytes:
            try:
                self._put(name, content)
                read = self._fs.cat_file(self._path(name))
                self._fs.rm_file(self._path(name))
                return read
            except (PermissionError, NotImplementedError) as error:  # a retry would not help
                raise self._refused(error) from error

        try:
            read = self._tried(read_back)
        except UserError:
            raise
        except Exception as error:
            raise self._refused(error) from error
        if read != content:
            raise UsageError(f"output_dir: {self.url}: a small object was read back with other content")

    def _refused(self, error: Exception) -> UsageError:
        return UsageError(
            f"output_dir: {self.url}: a small object cannot be written, read and removed there ({_reason(error)}); are "
            "the bucket's name and the credentials right?"
        )

    def owner(self) -> Owner | None:
        """The last process that claimed the store; None if there is none."""
        try:
            return Owner(**json.loads(self._read(_OWNER)))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def claim(self, host: str) -> None:
        """Makes this process the owner; another owner notices it before its next commit."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        with self._writing():
            self._tried(self._put, _OWNER, json.dumps(Owner(self.token, host, since)._asdict()).encode())

    def check_owner(self) -> None:
        """Raises Taken if another process has claimed the store."""
        owner = self.owner()
        if owner is None or owner.token != self.token:
            who = "the owner's file is gone" if owner is None else f"{owner.host} has continued it since {owner.since}"
            raise Taken(f"{self.url}: {who}; this process no longer writes there")

    def names(self) -> list[str]:
        """The names of the units that have a manifest, damaged or not."""
        with self._reading():
            names = self._tried(self._list, _COMMITS)
        return [name.removeprefix(_COMMITS).removesuffix(".json") for name in names if name.endswith(".json")]

    def units(self) -> dict[str, Unit]:
        """The committed units by name.

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
        """Uploads a unit, completely or not at all; replaces one of the same name.

        Args:
          name: of the unit.
          step: the step that the unit belongs to.
          files: by path in the run directory: the object's name and the file to upload.
          go_on: called before each object; False cancels the upload.

        Returns: whether the unit is committed; False if the upload was cancelled.

        Raises:
          CannotWrite: if the store refuses it repeatedly.
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
        """Removes all other units, and objects of checkpoints and exports that no unit names.

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
        """Removes a unit and its `damaged` object; if another unit names that object, too, it is uploaded again later.

        Raises:
          CannotWrite: if the store refuses it repeatedly.
        """
        with self._writing():
            self._remove(_manifest(name))
            self._remove(damaged)

    def download(self, one: Object, path: Path) -> None:
        """Reads an object into a new file.

        Raises:
          Damaged: if it is missing, or has other content.
          UserError: if the store cannot be read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._reading():
                self._tried(self._fs.get_file, self._path(one.name), str(path))
        except FileNotFoundError:
            raise Damaged(one.name, "is missing") from None
        if not is_same(one, path):
            raise Damaged(one.name, "has other content than was written")

    def _sizes(self) -> dict[str, int]:
        """The size of every object, by name."""
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
        """Removes the folders of all checkpoints except those of these steps."""
        folder = self._path("checkpoints")
        for path in self._fs.ls(folder, detail=False) if self._fs.isdir(folder) else ():
            if str(path).rstrip("/").rsplit("/", 1)[1] not in steps:
                self._fs.rm(path, recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _tried(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Calls the function, and retries after a while if it fails, as networks do."""
        for seconds in WAITS:
            try:
                return act(*arguments)
            except (FileNotFoundError, UserError):
                raise
            except Exception:  # each store has its own exceptions
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
