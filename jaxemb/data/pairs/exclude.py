"""Test sentences that must not be in the training set."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.readers.lines import read_lines


def excluded_files(patterns: Sequence[str], root: str | None) -> list[Path]:
    """The files that the paths or patterns match, sorted.

    Raises:
      UserError: if one matches nothing.
    """
    folder = Path(root).expanduser() if root else Path()
    files = set()
    for pattern in patterns:
        path = folder / Path(pattern).expanduser()
        matches = [path] if path.is_file() else [folder / name for name in glob.glob(pattern, root_dir=folder)]
        matches = [match for match in matches if match.is_file()]
        if not matches:
            raise UserError(f"{path}: no such file (data.exclude; relative paths start from data.root)")
        files.update(matches)
    return sorted(files)


class Exclusion:
    """The sentences of these files, as keys that ignore case, digits and punctuation."""

    def __init__(self, files: Iterable[Path]) -> None:
        keys = (decontamination_key(line) for path in files for line in read_lines(path) if isinstance(line, str))
        self._hashes = frozenset(text_hash(key) for key in keys if key)

    def matches(self, record: Record) -> bool:
        """Whether either side is among the sentences."""
        return bool(self._hashes) and any(
            text_hash(decontamination_key(text)) in self._hashes for text in (record.anchor, record.positive)
        )
