import numpy as np
import pyarrow as pa
import pytest

from data.beam.conftest import groups_of, tables_of
from data.gathering.conftest import corpus_of
from jaxemb.data.beam.tables import by_range
from jaxemb.data.beam.totals import Totals
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, TRAIN
from jaxemb.data.gathering.gather import content_hash


@pytest.fixture
def table(tmp_path, sources):
    return pa.concat_tables(tables_of(corpus_of(tmp_path / "rows", sources)))


def test_parts_add_up_in_any_order(table):
    parts = [Totals.of_training(own) for _, own in by_range(table, "order", 16)]
    parts += [Totals.of_rows(5), Totals.of_rows(7)]
    whole = Totals.sum([Totals.sum(parts[5:]), Totals.sum([]), Totals.sum(parts[:5][::-1])])
    content = content_hash(table["pair"].to_numpy(), table["check"].to_numpy())
    assert whole.content.tolist() == content.tolist()
    assert whole.variants == 400
    assert whole.rows == 12
    assert whole.largest_labels == {}


def test_the_largest_label_of_each_source(table):
    labels = pa.array(
        [None if source == 1 else n - 700 for n, source in enumerate(table["source"].to_pylist())], pa.int32()
    )
    labelled = table.set_column(table.column_names.index("label"), "label", labels)
    wanted = {}
    for source, label in zip(table["source"].to_pylist(), labels.to_pylist(), strict=True):
        if label is not None:
            wanted[source] = max(label, wanted.get(source, label))
    parts = [Totals.of_training(own) for _, own in by_range(labelled, "order", 8)]
    assert Totals.sum(parts).largest_labels == Totals.sum(parts[::-1]).largest_labels == wanted
    assert wanted[0] < 0 < wanted[2]


def test_fates_are_counted_by_group(tmp_path, sources):
    groups = groups_of(corpus_of(tmp_path / "groups", sources))
    group = np.array([0, 1, 1, 8])
    fates = np.array([TRAIN, HELD_OUT, HELD_OUT, TRAIN], np.uint8)
    whole = Totals.sum([Totals.of_fates(groups, group, fates), Totals.of_duplicates(groups, group[:2])])
    wanted = np.zeros((4, 9), int)
    wanted[TRAIN, [0, 8]] = 1
    wanted[HELD_OUT, 1] = 2
    wanted[DUPLICATE, :2] = 1
    assert whole.fates.tolist() == wanted.tolist()
