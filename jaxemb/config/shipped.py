"""The configs that ship with jaxemb: `configs/` of a checkout, or the copy of it inside an installed wheel."""

import difflib
from pathlib import Path

from jaxemb.errors import UsageError

_PACKAGE = Path(__file__).parents[1]


def folder() -> Path:
    """The folder with the shipped configs."""
    inside = _PACKAGE / "configs"  # of a wheel; an editable install or a checkout has it beside the package
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def names() -> list[str]:
    """The names of the shipped configs, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def title(name: str) -> str:
    """The first line of a shipped config, which says what it trains."""
    with path_of(name).open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def path_of(name: str) -> Path:
    """The file of a shipped config.

    Raises:
      UsageError: if there is no config of this name; the message suggests the nearest one.
    """
    if name not in names():
        raise UsageError(f"{name}: no config of this name ships with jaxemb; {_hint(name)}")
    return folder() / f"{name}.yaml"


def locate(path: Path) -> Path:
    """The file that `--config` names: an existing file, or else the shipped config of that bare name.

    Raises:
      UsageError: if a bare name is neither a file nor a shipped config; the message suggests the nearest one.
    """
    is_bare = path.name == str(path) and not path.suffix
    if path.is_file() or not is_bare:
        return path
    if path.name not in names():
        raise UsageError(f"{path}: neither a file nor a config that ships with jaxemb; {_hint(path.name)}")
    return path_of(path.name)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=1)
    return f"did you mean {near[0]}?" if near else "`jaxemb configs` lists those that ship"
