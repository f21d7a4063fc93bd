import json

import numpy as np
import pytest

from jaxemb.data.beam.outcome import Outcome, finished
from jaxemb.data.beam.placing import Places
from jaxemb.data.beam.reading import UnitFacts
from jaxemb.data.beam.shards import WrittenShard
from jaxemb.data.beam.tables import Groups
from jaxemb.data.beam.totals import Totals
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, SIDE_HELD_OUT, TRAIN
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.data.shards.index import ShardInfo
from jaxemb.errors import UserError

FIRST = Record("a", "d", ("n",), 1, 0.5, anchor_lang="en", positive_lang="fr")
THIRD = Record("e", "f", anchor_lang="en", positive_lang="fr")
SECOND = Record("b", "c", anchor_lang="de", positive_lang="en")


def outcome(groups, fates) -> Outcome:
    report = Report()
    report.read["de"] = 9
    report.drop("de", "too_short", 2)
    return Outcome(
        groups=groups,
        places=Places.of([(3, fates[TRAIN])], 8, groups),
        totals=Totals(fates, np.array([2**63, 5], np.uint64), variants=1, rows=2, largest_labels={0: 7}),
        units=[UnitFacts(0, 0, json.dumps(report.state()), ("en de",), ())],
        heldout=[(2, THIRD), (1, SECOND), (0, FIRST)] if len(groups) == 2 else [],
        starts=[np.array([7, 9]), np.array([0])],
        shards=[WrittenShard(n, ShardInfo(f"s{n}", n, 1, "", 2, 1), {"de": [0, n]}) for n in (1, 0)],
    )


def test_what_was_written_is_read():
    fates = np.zeros((4, 2), np.int64)
    fates[TRAIN], fates[DUPLICATE], fates[HELD_OUT], fates[SIDE_HELD_OUT] = [3, 4], [1, 0], [1, 1], [0, 5]
    groups = Groups.of([(0, "en fr"), (0, "de en")], {0: 2})
    done, texts = finished("data", outcome(groups, fates).to_json(), 2)
    assert texts == {0: 2}
    assert done.groups == [(0, "de", "en"), (0, "en", "fr")]
    assert done.counts.tolist() == [[3, 4]]
    assert [info.name for info in done.infos] == ["s0", "s1"]
    assert (done.epoch, done.starts.tolist()) == (2, [0, 7, 9])
    assert done.largest_labels == [7, None]
    assert done.heldout == {"de": [SECOND], "fr": [FIRST, THIRD]}
    assert done.report["lengths"] == {"de": [0, 1]}
    assert done.report["languages"]["de"] == {
        "read": 9, "train": 3, "heldout": 1, "dropped": {"duplicate": 1, "too_short": 2},
    }  # fmt: skip
    assert done.report["languages"]["fr"]["dropped"] == {"english_side_held_out": 5}
    assert done.report["train_hash"] == np.array([2**63, 5], np.uint64).tobytes().hex()


def test_without_an_example_the_error_is_that_of_one_machine():
    groups = Groups.of([(0, "en de")], {0: 2})
    with pytest.raises(UserError, match="no pair is left to train on"):
        finished("data", outcome(groups, np.zeros((4, 1), np.int64)).to_json(), 2)
    nothing = Groups.of([], {})
    with pytest.raises(UserError, match=r"no pair is left after data\.filters: 2 too_short"):
        finished("data", outcome(nothing, np.zeros((4, 0), np.int64)).to_json(), 2)
