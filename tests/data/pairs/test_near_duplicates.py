import random
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.config import NearDuplicates
from jaxemb.data.pairs.near_duplicates import banding, near_duplicates, signatures
from jaxemb.data.pairs.normalize import decontamination_key
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError

CONFIG = NearDuplicates()
WORDS = (
    "water house green window river mountain letter garden silver morning picture winter people street yellow music "
    "little summer kitchen number village castle bridge doctor station forest island market student teacher"
).split()


def pair(anchor: str, positive: str, **fields: object) -> Record:
    return Record(anchor, positive, anchor_lang="en", positive_lang="de", **fields)


def corpus(count: int) -> list[Record]:
    """Sentences, half of which are an earlier one with some words changed."""
    draw = random.Random(0)
    records: list[Record] = []
    for _ in range(count):
        words = draw.choices(WORDS, k=draw.randint(6, 20))
        if records and draw.random() < 0.5:
            words = draw.choice(records).anchor.split()
            for place in draw.sample(range(len(words)), draw.randint(0, min(3, len(words)))):
                words[place] = draw.choice(WORDS)
        records.append(pair(" ".join(words), " ".join(reversed(words)).upper()))
    return records


def dropped(records: list[Record], config: NearDuplicates = CONFIG) -> list[int]:
    found = signatures(records, config)
    positions = np.repeat(np.arange(len(records)), found.bands.shape[1])
    return near_duplicates(found.bands.ravel(), positions, found.slots, config.similarity).tolist()


def test_against_the_exact_similarity():
    pytest.importorskip("datasketch")
    records = corpus(600)

    def grams(record: Record) -> set[tuple[int, str]]:
        keys = [decontamination_key(text) for text in (record.anchor, record.positive)]
        return {(side, key[i : i + 4]) for side, key in enumerate(keys) for i in range(len(key) - 3)}

    sets = [grams(record) for record in records]
    best = [max((len(a & b) / len(a | b) for b in sets[:i]), default=0.0) for i, a in enumerate(sets)]
    found = set(dropped(records))
    alike = {i for i, similarity in enumerate(best) if similarity >= 0.9}
    assert len(alike) > 50
    assert alike <= found
    assert all(best[i] > 0.65 for i in found)  # 0.8 less four standard errors


def test_the_first_of_a_set_stays_and_what_differs_stays():
    pytest.importorskip("datasketch")
    english = "the river runs through the old village and under the bridge"
    german = "der Fluss läuft durch das alte Dorf und unter der Brücke"
    records = [
        pair("something else that nobody else has written here", "etwas anderes"),
        pair(english, german),
        pair(f"{english}!", german.upper()),
        Record(english, german, anchor_lang="en", positive_lang="nl"),  # another language
        pair(english, german, score=0.5),  # another score
        pair(german, english),  # the sides exchanged
        pair(english, german, id="again"),
        pair("1", "2"),
        pair("3", "4"),  # without a letter, so not by the key
    ]
    assert dropped(records) == [2, 6]


def small(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries of many rows in few bands, with few different slots: buckets whose rows are alike and not."""
    draw = np.random.default_rng(seed)
    rows = 40
    slots = draw.integers(0, 2, (rows, 16), np.uint8)
    bands = draw.integers(0, 9, (rows, 4)).astype(np.uint64)
    return bands.ravel(), np.repeat(np.arange(rows), 4), slots


@given(st.integers(0, 10**6))
def test_any_ranges_and_any_order_give_the_same(seed):
    bands, positions, slots = small(seed)
    whole = near_duplicates(bands, positions, slots, 0.6)
    order = np.random.default_rng(seed).permutation(len(bands))
    assert near_duplicates(bands[order], positions[order], slots, 0.6).tolist() == whole.tolist()
    split = seed % 10
    parts = [near_duplicates(bands[m], positions[m], slots, 0.6) for m in (bands < split, bands >= split)]
    assert np.unique(np.concatenate(parts)).tolist() == whole.tolist()
    # The rule, one band value at a time.
    least, expected = 0.6 * 255 / 256 + 1 / 256, set()
    for value in np.unique(bands):
        left = sorted({*positions[bands == value].tolist()})
        while left:
            leader, *left = left
            alike = {row for row in left if (slots[row] == slots[leader]).mean() >= least}
            expected |= alike
            left = [row for row in left if row not in alike]
    assert whole.tolist() == sorted(expected)


def test_a_signature_depends_on_its_record_alone():
    pytest.importorskip("datasketch")
    records = [*corpus(20), Record("a", "b", ("c", "d"), anchor_lang="en", positive_lang="en")]
    together = signatures(records, CONFIG)
    for i, record in enumerate(records):
        alone = signatures([record], CONFIG)
        np.testing.assert_array_equal(alone.bands[0], together.bands[i])
        np.testing.assert_array_equal(alone.slots[0], together.slots[i])
    assert signatures([], CONFIG).bands.shape == (0, 16)


def test_the_signatures_are_those_of_every_machine_and_version():
    """Stored beside the data: a change needs a new version of the prepared data."""
    pytest.importorskip("datasketch")
    found = signatures([pair("The cat sat on the mat", "Die Katze saß auf der Matte")], CONFIG)
    assert found.bands[0, :2].tolist() == [11623209072287409328, 239273871753518484]
    assert found.slots[0, :6].tolist() == [153, 67, 100, 12, 46, 186]


@pytest.mark.parametrize(("similarity", "hashes"), [(0.5, 128), (0.8, 128), (0.9, 64), (0.95, 16)])
def test_pairs_of_the_smallest_similarity_meet(similarity, hashes):
    count, length = banding(similarity, hashes)
    assert count * length <= hashes
    assert 1 - (1 - similarity**length) ** count >= 0.99
    longer = length + 1
    assert 1 - (1 - similarity**longer) ** (hashes // longer) < 0.99


def test_without_the_extra_one_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(UserError, match=r"data\.near_duplicates needs .* pip install 'jaxemb\[near-duplicates\]'"):
        signatures([pair("a", "b")], CONFIG)
