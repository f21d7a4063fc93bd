"""Units: files of a run that are committed together, and the manifest that lists them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple


class Object(NamedTuple):
    """One file of a unit, as it is stored."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Unit:
    """Files that are committed together."""

    step: int
    files: Mapping[str, Object]
    """The files, by their paths in the run directory."""

    def to_json(self) -> str:
        """The unit as a manifest."""
        files = {path: list(one) for path, one in sorted(self.files.items())}
        return json.dumps({"step": self.step, "files": files, "sha256": _digest(self.step, files)}, indent=1)


class NotAManifest(Exception):
    """A file that should be a manifest is not one."""


def unit_of(manifest: bytes) -> Unit:
    """Reads a manifest.

    Raises:
      NotAManifest: if it was truncated or modified, or names a path outside of the run.
    """
    try:
        values = json.loads(manifest)
        step, files = values["step"], values["files"]
        paths = [PurePosixPath(path) for path in files]
        whole = values["sha256"] == _digest(step, files)
        unit = Unit(step, {path: Object(*one) for path, one in files.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAManifest from error
    if not whole or any(path.is_absolute() or ".." in path.parts for path in paths):
        raise NotAManifest
    return unit


def _digest(step: int, files: Any) -> str:
    return hashlib.sha256(json.dumps([step, files], sort_keys=True).encode()).hexdigest()


def is_same(one: Object, path: Path) -> bool:
    """Whether a file has the content of an object."""
    return path.is_file() and path.stat().st_size == one.size and sha256_of(path) == one.sha256


def object_of(name: str, path: Path) -> Object:
    """The object that describes a file in the store."""
    return Object(name, path.stat().st_size, sha256_of(path))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
