"""Datasets of the Hugging Face hub, which are streamed, and datasets in a folder. No code of a dataset is run."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxemb.config import HfSource
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import columns, example, of_row
from jaxemb.data.sources.part import SourcePart
from jaxemb.data.sources.rows import RowChoice
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import whole_path
from jaxemb.readers.splits import LANGUAGE

_PART_ROWS = 1_000_000
"""Rows of a part of a saved dataset; a streamed one has a part for each of its files."""
_SAVED = ("state.json", "dataset_dict.json")
"""Files of a folder that `save_to_disk` wrote."""


def parts(config: HfSource, root: str | None) -> list[SourcePart]:
    """The parts of a split. Uses the network only if `name` is no folder.

    Raises:
      UserError: if `datasets` is not installed, or there is no such dataset, configuration, split or field.
    """
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise UserError("data.sources: kind hf needs the package datasets: pip install 'jaxemb[hf]'") from None
    folder = Path(whole_path(config.name, root))
    files: tuple[Path, ...] = ()
    if folder.is_dir():
        where, revision, source = str(folder), None, config.name
        files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    else:
        where, revision = config.name, _commit(config)
        source = f"{config.name}@{revision[:12]}"
    split = _open(where, config.config, config.split, revision)
    there = split.column_names
    if there is not None and (missing := _missing(config, there)):
        raise UserError(
            f"data.sources: {_name(config)} has no field {', '.join(map(repr, missing))}; there are "
            f"{', '.join(map(repr, there))}"
        )
    count = split.num_shards if hasattr(split, "num_shards") else -(-len(split) // _PART_ROWS)
    return [
        SourcePart(
            _name(config) + (f", part {index + 1} of {count}" if count > 1 else ""),
            files,
            source,
            config.licence,
            functools.partial(_read, where, revision, config, source, (index, count)),
        )
        for index in range(count)
    ]


def _missing(config: HfSource, there: Sequence[str]) -> list[str]:
    keys = (key for key in config.keys if key is not None)
    return sorted(key for key in keys if key not in there and key.partition(".")[0] not in there)


def _name(config: HfSource) -> str:
    return ", ".join(filter(None, (config.name, config.config, f"split {config.split}")))


def _commit(config: HfSource) -> str:
    """The commit that the hub has now, so that all parts and the cache are of one version."""
    from huggingface_hub import HfApi

    with _errors_named(config.name, config.config, config.split):
        return str(HfApi().dataset_info(config.name, revision=config.revision).sha)


@functools.lru_cache(maxsize=8)
def _open(where: str, config: str | None, split: str, revision: str | None) -> Any:
    """A split: a `Dataset` if it was saved in a folder, else an `IterableDataset`."""
    import datasets

    with _errors_named(where, config, split):
        if any((Path(where) / name).is_file() for name in _SAVED):
            saved = datasets.load_from_disk(where)
            if isinstance(saved, datasets.DatasetDict):
                if split not in saved:
                    raise ValueError(f"no split {split!r}; there are {', '.join(saved)}")
                return saved[split]
            if saved.split is not None and str(saved.split) != split:
                raise ValueError(f"no split {split!r}; there is {saved.split}")
            return saved
        return datasets.load_dataset(where, config, split=split, revision=revision, streaming=True)


def _read(
    where: str, revision: str | None, config: HfSource, source: str, part: tuple[int, int]
) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    split = _open(where, config.config, config.split, revision)
    index, count = part
    with _errors_named(where, config.config, config.split):
        rows = split.shard(count, index, contiguous=True)
        if split.column_names is not None:
            wanted = columns(config) | {*LANGUAGE}
            rows = rows.select_columns([name for name in split.column_names if name in wanted])
        rows = iter(rows)
    choice = RowChoice(Path(config.name), None, config.language, config.language_key)
    number = 0
    while True:
        with _errors_named(where, config.config, config.split):
            values = next(rows, None)
        if values is None:
            return
        number += 1
        try:
            language = choice.of(None, of_row(values, config, LANGUAGE))
            if isinstance(language, Skipped):
                yield language
            else:
                yield example(values, config, source, f"{config.split}:{index}:{number}", language)
        except (OverflowError, TypeError, ValueError) as error:
            yield BadLine(number, str(error), str(values))


@contextlib.contextmanager
def _errors_named(name: str, config: str | None, split: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of many kinds, depending on what is missing
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        of = f"the dataset {name}, {'' if config is None else f'config {config}, '}split {split}"
        raise UserError(
            f"data.sources: {of}: cannot be read ({reason}); correct name, config, split or files"
        ) from error
