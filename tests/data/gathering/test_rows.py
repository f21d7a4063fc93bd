import collections
import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from data.gathering.conftest import NO_FILTER, some_rows
from jaxemb.config import FilterConfig
from jaxemb.data.gathering.rows import SCHEMA, Row, clean_rows
from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.errors import UserError

EXAMPLE = Record("a text", "ein Text", anchor_lang="en", positive_lang="de", id="x:1")


def table_of(*records: Record) -> pa.Table:
    return clean_rows([Row(0, number, 0, record) for number, record in enumerate(records)], NO_FILTER, Report())


def test_rows_are_cleaned_counted_and_hashed():
    report = Report()
    rows = [
        Row(
            2,
            7,
            0,
            Record(" A  text\u00a0here ", "Ein Text", anchor_lang="en", positive_lang="de", source="s", id="f:7"),
        ),
        Row(2, 8, 0, Record("", "leer", anchor_lang="en", positive_lang="de", source="s", id="f:8")),
        Row(
            2, 9, 0, Record("Trois mots ici", "Three Words {n} here!", anchor_lang="fr", positive_lang="en", source="s")
        ),
    ]
    table = clean_rows(rows, FilterConfig(), report)
    assert table.schema == SCHEMA
    first, second = table.to_pylist()
    assert (first["part"], first["row"], first["anchor"], first["languages"]) == (2, 7, "A text here", "en de")
    assert first["anchor_hash"] == text_hash("A text here")
    assert first["english"] == text_hash(decontamination_key("A text here"))
    # The English side is the positive.
    assert second["english"] == text_hash("three words here")
    assert (second["target"], second["words"]) == (text_hash("trois mots ici"), 3)
    assert report.read == {"de": 2, "fr": 1}
    assert report.dropped == {"de": {"empty": 1}}
    assert report.examples == {"empty": [{"id": "f:8", "anchor": "''", "positive": "'leer'"}]}
    assert report.sources["s"]["pairs"] == 2


def test_examples_have_equal_hashes_if_and_only_if_they_are_equal():
    others = [
        {"anchor": "b text"}, {"positive": "ein Test"}, {"anchor_lang": "nl"}, {"positive_lang": "nl"}, {"label": 0},
        {"label": 1}, {"score": 0.0}, {"score": 0.5}, {"negatives": ("x",)}, {"negatives": ("y",)},
        {"negatives": ("x", "y")}, {"negatives": ("y", "x")}, {"anchor": "ein Text", "positive": "a text"},
    ]  # fmt: skip
    different = [EXAMPLE, *(dataclasses.replace(EXAMPLE, **other) for other in others)]
    hashes = []
    for record in different:  # alone, since the examples of a table have equally many negatives
        table = table_of(record)
        hashes.append((table["pair"][0].as_py(), table["check"][0].as_py()))
    assert len({pair for pair, _ in hashes}) == len({check for _, check in hashes}) == len(different)
    for record, hashed in zip(different[:8], hashes[:8], strict=True):  # in any company
        table = table_of(*different[:8], dataclasses.replace(record, id="elsewhere", source="other"))
        assert (table["pair"][8].as_py(), table["check"][8].as_py()) == hashed


def test_examples_of_a_row_share_its_place_in_the_shuffle():
    table = clean_rows(some_rows(1, 50, variants=3), NO_FILTER, Report())
    orders = collections.defaultdict(set)
    for row, order, pair, variant in zip(
        *(table[name].to_pylist() for name in ("row", "order", "pair", "variant")), strict=True
    ):
        orders[row].add(order)
        assert (order == pair) == (variant == 0 or pair in orders[row])
    assert all(len(of_row) == 1 for of_row in orders.values())


def test_orders_are_spread_evenly():
    table = table_of(*(dataclasses.replace(EXAMPLE, anchor=f"text {number}") for number in range(4000)))
    lanes = np.bincount(table["order"].to_numpy() >> np.uint64(61), minlength=8)
    assert lanes.min() > 400
    assert lanes.max() < 600


def test_examples_of_a_source_have_equally_many_negatives():
    with pytest.raises(UserError, match=r"x:1 has 0 hard negatives, but the examples before it have 1"):
        table_of(dataclasses.replace(EXAMPLE, negatives=("n",)), EXAMPLE)
