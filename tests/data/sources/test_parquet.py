import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxemb.config import DataConfig, HoldoutConfig, NliSource, ParquetSource, StsSource, TextSource, TsvSource
from jaxemb.data import gather
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import parquet, source_parts
from jaxemb.errors import UserError

ROWS = [
    {"query": f"q {n}", "pos": [f"p {n}", f"o {n}"], "neg": [{"title": "T", "text": f"n {n}"}], "split": "train"}
    for n in range(50)
]
FIELDS = {"anchor_key": "query", "positive_key": "pos", "negative_keys": ("neg",), "negatives": 1}


def read(source, root):
    return [item for part in source_parts(source, str(root)) for item in part.read()]


def test_lists_and_objects(tmp_path):
    pq.write_table(pa.Table.from_pylist([*ROWS, {**ROWS[0], "split": "test"}]), tmp_path / "x.parquet")
    *items, other = read(ParquetSource(path="*.parquet", **FIELDS), tmp_path)
    assert len(items) == 50
    assert all(isinstance(item, Alternatives) for item in items)
    record = items[3].records[0]
    assert (record.anchor, record.negatives, record.id) == ("q 3", ("T n 3",), "x.parquet:4")
    assert sorted(one.positive for one in items[3].records) == ["o 3", "p 3"]
    assert other == Skipped("en", "other_split")
    with pytest.raises(UserError, match="no row is of the split dev"):
        read(ParquetSource(path="*.parquet", split="dev", **FIELDS), tmp_path)


def test_a_large_file_has_several_parts(tmp_path, monkeypatch):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet", row_group_size=10)
    whole = read(ParquetSource(path="x.parquet", **FIELDS), tmp_path)
    monkeypatch.setattr(parquet, "PART_BYTES", 100)
    monkeypatch.setattr(parquet, "_PART_ROWS", 20)
    parts = source_parts(ParquetSource(path="x.parquet", **FIELDS), str(tmp_path))
    assert [part.name.rpartition("/")[2] for part in parts] == [
        "x.parquet, from row 1", "x.parquet, from row 21", "x.parquet, from row 41",
    ]  # fmt: skip
    assert [item for part in parts for item in part.read()] == whole


def test_a_quality(tmp_path):
    rows = [{"anchor": "a", "positive": f"b {score}", "s": score} for score in (1.1, 1.04, None, float("nan"), 1.05)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    good, low, none, nan, last = read(ParquetSource(path="x.parquet", quality_key="s", min_quality=1.05), tmp_path)
    assert (good.positive, low, last.positive) == ("b 1.1", Skipped("en", "low_score"), "b 1.05")
    assert [bad.reason for bad in (none, nan)] == [
        "the quality 'None' is not a finite number", "the quality 'nan' is not a finite number",
    ]  # fmt: skip


def test_the_other_kinds_take_columns_by_name(tmp_path):
    rows = [
        {"x": [1], "en": f"a {n}", "de": f"b {n}", "sentence1": "s", "sentence2": "t", "label": n % 3, "score": n / 10}
        for n in range(12)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    pairs = read(TsvSource(path="x.parquet", anchor_column="en", positive_column="de", positive_lang="de"), tmp_path)
    assert [(pair.anchor, pair.positive, pair.id) for pair in pairs][:2] == [
        ("a 0", "b 0", "x.parquet:1"), ("a 1", "b 1", "x.parquet:2"),
    ]  # fmt: skip
    assert read(TsvSource(path="x.parquet", positive_lang="de"), tmp_path) == pairs
    texts = read(TextSource(path="x.parquet", column="de", language="de"), tmp_path)
    assert [text.anchor for text in texts] == [f"b {n}" for n in range(12)]
    names = ("entailment", "neutral", "contradiction")
    labels = read(NliSource(path="x.parquet", label_names=names), tmp_path)
    assert [one.label for one in labels][:3] == [1, 2, 0]
    scored = read(StsSource(path="x.parquet"), tmp_path)
    assert scored[5].score == pytest.approx(0.1)
    with pytest.raises(
        UserError, match=r"x\.parquet, line 1: the header has no column 'text' .column of the text source"
    ):
        read(TextSource(path="x.parquet"), tmp_path)


def test_behind_a_url(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    memory = fsspec.filesystem("memory")
    memory.put_file(str(tmp_path / "x.parquet"), "/parquet/a/x.parquet")
    here = ParquetSource(path="**/*.parquet", **FIELDS)
    assert read(here, "memory://parquet") == read(here, tmp_path)
    config = DataConfig(
        root="memory://parquet",
        sources=(ParquetSource(path="**/*.parquet", anchor_key="query", positive_key="pos"),),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )
    data = gather(config, 0)
    assert isinstance(next(data.records()), Record)
    assert gather(config, 0).path == data.path
    memory.pipe_file("/parquet/a/x.parquet", (tmp_path / "x.parquet").read_bytes())  # another version
    assert gather(config, 0).path != data.path
    memory.rm("/parquet", recursive=True)
