import random

import numpy as np
import pytest

from data.gathering.conftest import contents, corpus_of
from jaxemb.config import DataConfig, HoldoutConfig, NearDuplicates, TsvSource
from jaxemb.data import gather
from jaxemb.data.gathering import near_duplicates as whole
from jaxemb.data.gathering import signing
from jaxemb.data.gathering.corpus import DUPLICATE, NEAR_DUPLICATE, TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.gathering.rows import Row
from jaxemb.data.pairs.near_duplicates import near_duplicates, signatures
from jaxemb.data.pairs.records import Record

CONFIG = NearDuplicates(hashes=64)
WORDS = "water house green window river mountain letter garden silver morning picture winter people street".split()

pytest.importorskip("datasketch")


def record(words: list[str]) -> Record:
    anchor, positive = " ".join(words), " ".join(reversed(words)).upper()
    return Record(anchor, positive, anchor_lang="en", positive_lang="de")


def sources_of() -> list[list[Row]]:
    """Rows of two sources, the second with three examples each, of which half are an earlier one with a word changed,
    and some are equal to an earlier one."""
    draw = random.Random(0)
    earlier: list[list[str]] = []
    sources = []
    for source, count, variants in ((0, 300, 1), (1, 100, 3)):
        sources.append([])
        for number in range(count):
            for variant in range(variants):
                words = draw.choices(WORDS, k=draw.randint(6, 16))
                if earlier and draw.random() < 0.6:
                    words = list(draw.choice(earlier))
                    for place in draw.sample(range(len(words)), draw.randint(0, 1)):
                        words[place] = draw.choice(WORDS)
                earlier.append(words)
                sources[source].append(Row(number * 3 // count, number, variant, record(words)))
    return sources


def expected_of(sources: list[list[Row]]) -> set[tuple[int, int, int, int]]:
    """What is dropped if all rows are compared at once, in their order, without those that are equal to an earlier one.

    A row's other examples are taken out one by one: a row is compared with all that belong to other rows.
    """
    rows = [(source, row) for source, own in enumerate(sources) for row in own]
    first: dict[str, int] = {}
    for index, (_, row) in enumerate(rows):
        first.setdefault(row.record.anchor, index)
    kept = np.array(sorted(first.values()))
    found = signatures([row.record for _, row in rows], CONFIG)
    owners = np.unique([(source, row.row) for source, row in rows], axis=0, return_inverse=True)[1].reshape(-1)
    bands = found.bands[kept].ravel()
    positions = np.repeat(kept, found.bands.shape[1])
    dropped = near_duplicates(bands, positions, found.slots, CONFIG.similarity, owners)
    return {(rows[i][0], rows[i][1].part, rows[i][1].row, rows[i][1].variant) for i in dropped.tolist()}


CASES = [(1000, 1 << 20, 1), (50, 1 << 20, 1), (77, 512, 1), (200, 512, 2)]


@pytest.mark.parametrize(("size", "range_values", "workers"), CASES)
def test_as_if_all_rows_were_compared_at_once(tmp_path, monkeypatch, size, range_values, workers):
    """Whatever the chunks, their order, the ranges that are compared at a time, and the number of processes."""
    monkeypatch.setattr(whole, "RANGE_VALUES", range_values)
    monkeypatch.setattr(signing, "SMALL", 0)
    sources = sources_of()
    corpus = corpus_of(tmp_path / "rows", sources, size)
    corpus.chunks.reverse()
    corpus.fates.reverse()
    mark_duplicates(corpus)
    whole.mark_near_duplicates(corpus, CONFIG, tmp_path, workers)
    expected = expected_of(sources)
    assert len(expected) > 100
    assert contents(corpus, NEAR_DUPLICATE) == expected
    assert len(contents(corpus, DUPLICATE)) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_the_first_stays_and_examples_of_a_row_are_not_compared(tmp_path):
    words = WORDS[:10]
    alike = [record([*words, word]) for word in ("one", "two", "six")]
    other = [record(["completely", *WORDS[10:], "different"])]
    sources = [
        [Row(0, 1, 0, other[0]), *(Row(1, 2, variant, same) for variant, same in enumerate(alike))],
        [Row(0, 1, 0, record([*words, "ten"])), Row(0, 2, 0, other[0])],
    ]
    corpus = corpus_of(tmp_path / "rows", sources, 1)
    mark_duplicates(corpus)
    whole.mark_near_duplicates(corpus, CONFIG, tmp_path, 1)
    assert contents(corpus, TRAIN) == {(0, 0, 1, 0), (0, 1, 2, 0), (0, 1, 2, 1), (0, 1, 2, 2)}
    assert contents(corpus, NEAR_DUPLICATE) == {(1, 0, 1, 0)}
    assert contents(corpus, DUPLICATE) == {(1, 0, 2, 0)}


def test_the_report_counts_them_and_settings_make_other_data(tmp_path):
    texts = [f"{' '.join(WORDS)} {number}\t{' '.join(reversed(WORDS))} {number}\n" for number in range(5)]
    (tmp_path / "en-de.tsv").write_text("".join([*texts, "quite another text\tein ganz anderer Text\n"]))
    nothing = DataConfig(
        root=str(tmp_path),
        sources=(TsvSource(path="en-de.tsv"),),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )
    found = [
        gather(nothing.model_copy(update={"near_duplicates": near}), 0, 1)
        for near in (None, CONFIG, NearDuplicates(similarity=0.9, hashes=64))
    ]
    assert [one.examples for one in found] == [6, 2, 2]
    assert len({one.path for one in found}) == 3
    assert found[1].report["totals"]["dropped"] == {"near_duplicate": 4}
    assert found[1].report["languages"]["de"]["dropped"] == {"near_duplicate": 4}
    assert [record.anchor[-2:] for record in found[1].records()] == [" 0", "xt"]
