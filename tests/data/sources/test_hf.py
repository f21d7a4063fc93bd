"""Datasets in folders, and of a hub that is simulated: streaming by `datasets` itself, from local files."""

import builtins
import json
import types

import pytest

datasets = pytest.importorskip("datasets")

from jaxemb.config import HfSource, ParquetSource  # noqa: E402
from jaxemb.data.pairs.records import Record  # noqa: E402
from jaxemb.data.pairs.report import Skipped  # noqa: E402
from jaxemb.data.sources import hf, source_parts  # noqa: E402
from jaxemb.errors import UserError  # noqa: E402
from jaxemb.readers.lines import BadLine  # noqa: E402

ROWS = [{"anchor": f"a {n}", "positive": f"b {n}", "label": n % 3 - 1, "other": n} for n in range(10)]


@pytest.fixture(autouse=True)
def nothing_kept():
    hf._open.cache_clear()
    yield
    hf._open.cache_clear()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network is used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def read(source, root):
    return [item for part in source_parts(source, str(root)) for item in part.read()]


def test_saved_to_disk(tmp_path, monkeypatch, no_network):
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "test": data.select(range(2))}).save_to_disk(tmp_path / "both")
    items = read(HfSource(name="both", label_key="label"), tmp_path)
    assert items[0] == Skipped("en", "no_agreement")
    assert items[1] == Record(
        "a 1", "b 1", label=0, anchor_lang="en", positive_lang="en", source="both", id="train:0:2"
    )
    assert len(read(HfSource(name="both", split="test"), tmp_path)) == 2
    monkeypatch.setattr(hf, "_PART_ROWS", 4)
    parts = source_parts(HfSource(name="both"), str(tmp_path))
    assert [part.name for part in parts] == [f"both, split train, part {n} of 3" for n in (1, 2, 3)]
    assert [item.anchor for part in parts for item in part.read()] == [row["anchor"] for row in ROWS]
    assert all(path.is_file() for path in parts[0].paths)
    with pytest.raises(UserError, match=r"split dev: cannot be read .no split 'dev'; there are train, test"):
        read(HfSource(name="both", split="dev"), tmp_path)
    with pytest.raises(UserError, match=r"both, split train has no field 'query'; there are 'anchor', 'positive'"):
        read(HfSource(name="both", anchor_key="query"), tmp_path)
    data.save_to_disk(tmp_path / "one")
    assert len(read(HfSource(name=str(tmp_path / "one")), "/nowhere")) == 10


def test_fields_inside_an_object(tmp_path):
    """As in opus-100 and the WMT sets."""
    data = datasets.Dataset.from_list([{"id": 1, "translation": {"en": "yes", "de": "ja"}}] * 2)
    data.save_to_disk(tmp_path / "opus")
    fields = {"anchor_key": "translation.en", "positive_lang": "de"}
    first, _ = read(HfSource(name="opus", positive_key="translation.de", **fields), tmp_path)
    assert (first.anchor, first.positive) == ("yes", "ja")
    bad, _ = read(HfSource(name="opus", positive_key="translation.fr", **fields), tmp_path)
    assert bad.reason.startswith("no field 'fr'; there are '")
    data.to_parquet(tmp_path / "x.parquet")
    source = ParquetSource(path="x.parquet", positive_key="translation.de", **fields)
    assert read(source, tmp_path)[0].positive == "ja"
    with pytest.raises(UserError, match=r"has no field 'text\.de'"):
        read(HfSource(name="opus", positive_key="text.de", **fields), tmp_path)


def test_a_folder_of_files(tmp_path, no_network):
    (tmp_path / "files").mkdir()
    lines = [json.dumps(row) for row in ROWS] + ['{"anchor": null, "positive": "x", "label": 0, "other": 1}']
    (tmp_path / "files" / "train.jsonl").write_text("\n".join(lines))
    *items, bad = read(HfSource(name="files"), tmp_path)
    assert [item.positive for item in items] == [row["positive"] for row in ROWS]
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.reason) == (11, "anchor is no text but NoneType")
    with pytest.raises(UserError, match=r"files, split dev: cannot be read .*dev"):
        read(HfSource(name="files", split="dev"), tmp_path)


def test_a_damaged_file(tmp_path, no_network):
    (tmp_path / "files").mkdir()
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "files" / "train.parquet")
    whole = (tmp_path / "files" / "train.parquet").read_bytes()
    (tmp_path / "files" / "train.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"files, split train: cannot be read"):
        read(HfSource(name="files"), tmp_path)


def test_a_name_on_the_hub(tmp_path, monkeypatch):
    """The version is looked up once and pinned, and no code of the dataset may run."""
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    load, asked = datasets.load_dataset, []

    def hub(name, config=None, **settings):
        asked.append((name, config, settings))
        return load(str(tmp_path), split=settings["split"], streaming=settings["streaming"])

    sha = "0123456789abcdef"
    info = types.SimpleNamespace(sha=sha)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name, revision: info)
    monkeypatch.setattr(datasets, "load_dataset", hub)
    (part,) = source_parts(HfSource(name="org/data", config="pair", licence="MIT"), str(tmp_path))
    items = list(part.read())
    assert [item.anchor for item in items] == [row["anchor"] for row in ROWS]
    assert (part.source, part.licence, part.paths) == ("org/data@0123456789ab", "MIT", ())
    assert asked == [("org/data", "pair", {"split": "train", "revision": sha, "streaming": True})]


def test_a_hub_that_does_not_answer(tmp_path):
    with pytest.raises(UserError, match=r"the dataset org/none, split train: cannot be read"):
        read(HfSource(name="org/none"), tmp_path)


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    plain = builtins.__import__

    def without(name, *arguments, **named):
        if name == "datasets":
            raise ImportError(name)
        return plain(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"kind hf needs the package datasets: pip install 'jaxemb\[hf\]'"):
        read(HfSource(name="org/data"), tmp_path)
