"""Reads the store of a run into a directory on this machine.

Its units are `checkpoints/N`, `states/K` (the small files; each committed state has the next number) and, once the run
is finished, `end`: everything except the checkpoints, under the paths of the run directory.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.files import atomic_directory
from jaxemb.runs.storage.store import Damaged, Store
from jaxemb.runs.storage.units import Object, Unit, is_same

END = "end"


def mirror(store: Store, units: Mapping[str, Unit], folder: Path, say: Callable[[str], None]) -> dict[str, Damaged]:
    """Makes `folder` a copy of the run in the store: the newest checkpoint, the small files, the export.

    Files that `folder` already has are not read again. If the store has no run, `folder` is emptied.

    Returns: the damaged units, which were replaced by older ones.

    Raises:
      UserError: if all checkpoints, or all small files, are damaged, or the store cannot be read.
    """
    for name in sorted(set(store.names()) - units.keys()):
        say(f"{store.url}: {name} is left out: its manifest is damaged")
    states, checkpoints = newest_first(units, "states"), newest_first(units, "checkpoints")
    if not states:
        shutil.rmtree(folder, ignore_errors=True)
        return {}
    say(f"reading the run at {store.url}")
    reading = _Reading(store, units, folder, say)
    with atomic_directory(folder, replace=True) as partial:
        if checkpoints:
            step = units[reading.first_whole(partial, checkpoints)].step
            if END in units and units[END].step == step:
                with contextlib.suppress(UserError):  # otherwise the run exports again
                    reading.first_whole(partial, [END])
        reading.first_whole(partial, states)
    return reading.damaged


class _Reading:
    """Reads units of a store, except for files that an older mirror already has."""

    def __init__(self, store: Store, units: Mapping[str, Unit], older: Path, say: Callable[[str], None]) -> None:
        self._store, self._units, self._older, self._say = store, units, older, say
        self.damaged: dict[str, Damaged] = {}

    def first_whole(self, folder: Path, names: Sequence[str]) -> str:
        """Reads the first undamaged unit into `folder`; returns its name."""
        for name in names:
            try:
                for path, one in self._units[name].files.items():
                    self._read(one, self._older / path, folder / path)
                return name
            except Damaged as error:
                self._say(f"{self._store.url}: {name} is left out: {error}")
                self.damaged[name] = error
                for path in self._units[name].files:
                    (folder / path).unlink(missing_ok=True)
                shutil.rmtree(folder / name, ignore_errors=True)
        raise UserError(
            f"{self._store.url}: {', '.join(names)}: damaged, and there is no other; copy the files there again "
            "or start a new run"
        )

    def _read(self, one: Object, older: Path, path: Path) -> None:
        path.unlink(missing_ok=True)
        if is_same(one, older):
            path.parent.mkdir(parents=True, exist_ok=True)
            link(older, path)
        else:
            self._store.download(one, path)


def newest_first(units: Iterable[str], kind: str) -> list[str]:
    """The names `kind`/NUMBER among those of `units`, the largest number first."""
    return sorted((name for name in units if name.startswith(f"{kind}/")), key=number_of, reverse=True)


def number_of(name: str) -> int:
    """The number in a unit's name, such as a checkpoint's step."""
    return int(name.rsplit("/", 1)[1])


def link(source: str | Path, target: str | Path) -> None:
    """A hard link to a file that does not change; a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
