import random

import numpy as np
import pytest

from jaxemb.config import EvaluationConfig
from jaxemb.data.pairs.records import Record
from jaxemb.evaluation.pools import score_pools
from jaxemb.evaluation.suites.heldout import build_pools, evaluate_heldout, heldout_report

CONFIG = EvaluationConfig()
NOUNS = {"cat": "кошка", "dog": "собака", "bird": "птица", "horse": "лошадь", "fish": "рыба", "cow": "корова"}


def _russian() -> list[Record]:
    return [Record(f"A {en} with %(name)s", f"Это {ru} и %(name)s") for en, ru in NOUNS.items()]


def test_pools_are_masked_sorted_and_know_their_script():
    german = [Record("The red house", "Das rote Haus"), Record("A tree", "Ein Baum")]
    pools = build_pools({"ru": _russian(), "de": german}, CONFIG)
    assert [(pool.name, pool.script, len(pool.anchors)) for pool in pools] == [
        ("de", "Latin", 2),
        ("ru", "Cyrillic", 6),
    ]
    assert dict(zip(pools[1].anchors, pools[1].positives, strict=True)) == {
        f"A {en} with": f"Это {ru} и" for en, ru in NOUNS.items()
    }


def test_the_order_of_the_pairs_does_not_matter():
    pairs = [Record("word " + chr(97 + i % 26) * (i + 1), "слово " + chr(1072 + i % 32) * (i + 1)) for i in range(50)]
    config = EvaluationConfig(pool_size=20)
    [pool] = build_pools({"ru": pairs}, config)
    assert len(pool.anchors) == 20
    random.Random(1).shuffle(pairs)
    assert build_pools({"ru": pairs}, config) == [pool]
    [whole] = build_pools({"ru": pairs}, CONFIG)
    assert pool.anchors == whole.anchors[:20]


@pytest.mark.parametrize(
    "extra",
    [
        Record("A cat with {other}", "Кот"),  # once masked, the anchor equals another
        Record("Some kitten", "это КОШКА и 7"),  # so does the positive
        Record("%(a)s: 12", "Двенадцать"),  # nothing is left of the anchor
        Record("Twelve", "%(a)s: 12"),  # nor of the positive
    ],
)
def test_equal_and_empty_texts_are_dropped(extra):
    [pool] = build_pools({"ru": [*_russian(), extra]}, CONFIG)
    assert len(pool.anchors) == len(NOUNS)
    for side in (pool.anchors, pool.positives):
        assert len({text.casefold() for text in side}) == len(NOUNS)
        assert all(side)


def test_pairs_with_identical_sides_are_dropped():
    pairs = [Record("Plan b", "Plan B"), Record("A tree", "Ein Baum"), Record("A house", "Ein Haus")]
    [pool] = build_pools({"de": pairs}, CONFIG)
    assert sorted(pool.anchors) == ["A house", "A tree"]


def test_shared_words_are_masked_by_the_script_of_the_language():
    russian = [Record("Set width in pixels", "Ширина (width) в пикселях"), Record("A tree", "Дерево")]
    german = [Record("Set width in pixels", "Breite (width) in Pixeln"), Record("A tree", "Ein Baum")]
    pools = {pool.name: pool for pool in build_pools({"ru": russian, "de": german}, CONFIG)}
    assert sorted(pools["ru"].positives) == ["Дерево", "Ширина в пикселях"]
    assert "Set in pixels" in pools["ru"].anchors
    assert "Set width in pixels" in pools["de"].anchors


def test_masking_can_be_switched_off():
    [pool] = build_pools({"ru": _russian()}, EvaluationConfig(mask_placeholders=False))
    assert "A cat with %(name)s" in pool.anchors


def test_brands_come_from_all_languages():
    german = [Record("Ask Gramps now", "Gramps jetzt fragen"), Record("A tree", "Ein Baum")]
    finnish = [Record("Gramps is free", "Grampsin hinta"), Record("A tree", "Puu")]
    pools = {pool.name: pool for pool in build_pools({"de": german, "fi": finnish}, CONFIG)}
    assert "is free" in pools["fi"].anchors
    assert sorted(pools["de"].positives) == ["Ein Baum", "jetzt fragen"]


def test_accuracy_averages_and_languages_left_out():
    vocabulary = {word: i for i, pair in enumerate(NOUNS.items()) for word in pair}

    def encode(texts):
        """Knows Russian, but no German."""
        rows = np.zeros((len(texts), len(NOUNS) + 1), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[vocabulary.get(word, -1)] += 1
            row[-1] *= 0.01
        return rows

    heldout = {
        "ru": _russian(),
        "de": [Record("A cat", "Eine Katze"), Record("A dog", "Ein Hund"), Record("A bird", "Ein Vogel")],
        "fr": [Record("A tree", "Un arbre")],
    }
    report = evaluate_heldout(encode, heldout, CONFIG)
    assert [(p.name, p.forward, p.n, p.script) for p in report.pairs] == [
        ("de", pytest.approx(100 / 3), 3, "Latin"),
        ("ru", 100.0, 6, "Cyrillic"),
    ]
    assert [(a.name, a.forward, a.present) for a in report.averages] == [
        ("all", pytest.approx(200 / 3), 2),
        ("Latin script", pytest.approx(100 / 3), 1),
        ("other scripts", 100.0, 1),
    ]
    assert report.notes == ("left out, with fewer than 2 usable pairs: fr",)
    assert heldout_report(score_pools(encode, build_pools(heldout, CONFIG))).pairs == report.pairs
