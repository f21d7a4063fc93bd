import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jaxemb.encoding import encode
from jaxemb.errors import UserError
from jaxemb.evaluation.suites.tatoeba import GROUPS, tatoeba
from jaxemb.loading import load

WORDS = ["cat", "dog", "bird", "horse"]


def _encode(texts):
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


def _write(folder: Path, language: str, foreign: list[str], english: list[str]) -> None:
    (folder / f"tatoeba.{language}-eng.{language}").write_text("\n".join(foreign) + "\n")
    (folder / f"tatoeba.{language}-eng.eng").write_text("\n".join(english) + "\n")


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path, "deu", [word[::-1] for word in WORDS], WORDS)
    _write(tmp_path, "afr", ["tac", "eel"], ["cat", "dog"])
    _write(tmp_path, "yue", ["god", "tac"], ["cat", "dog"])
    return tmp_path


def test_the_groups_have_their_sizes_and_nest():
    assert [len(set(GROUPS[name])) for name in ("14", "36", "112")] == [14, 36, 112]
    assert set(GROUPS["14"]) < set(GROUPS["36"]) | {"pol"}
    assert set(GROUPS["36"]) < set(GROUPS["112"])
    assert set(GROUPS["14"]) < set(GROUPS["112"])


def test_the_groups_are_the_files(real_data):
    files = {path.suffix[1:] for path in (real_data / "tatoeba").glob("tatoeba.*")}
    assert files - {"eng"} == set(GROUPS["112"])


def test_of_two_functions_the_anchors_gets_english(folder):
    texts = []
    tatoeba((lambda some: texts.append(set(some)) or _encode(some), _encode), folder)
    assert texts == [set(WORDS)]


def test_accuracy_and_averages(folder):
    report = tatoeba(_encode, folder)
    assert [(pair.name, pair.forward, pair.backward, pair.n) for pair in report.pairs] == [
        ("afr", 50.0, 50.0, 2),
        ("deu", 100.0, 100.0, 4),
        ("yue", 0.0, 0.0, 2),
    ]
    assert report.directions == ("xx->eng", "eng->xx")
    assert [(a.name, a.forward, a.backward, a.present, a.of) for a in report.averages] == [
        ("14 languages", 100.0, 100.0, 1, 14),
        ("36 languages", 75.0, 75.0, 2, 36),
        ("112 languages", 50.0, 50.0, 3, 112),
    ]


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (["yue"], ["yue"]),
        (["14"], ["deu"]),
        (["36", "yue"], ["afr", "deu", "yue"]),
        (["112", "deu"], ["afr", "deu", "yue"]),
        (["de"], ["deu"]),
        (["deu_Latn", "ger", "DE", "deu"], ["deu"]),
        (["yue_Hant", "af"], ["afr", "yue"]),
    ],
)
def test_languages_by_code_and_group(folder, languages, expected):
    assert [pair.name for pair in tatoeba(_encode, folder, languages).pairs] == expected


def test_every_language_has_one_code():
    from jaxemb.evaluation.suites.tatoeba import _code

    known = sorted(GROUPS["112"])
    names = {
        "zh": "cmn",
        "zho_Hans": "cmn",
        "fa": "pes",
        "sw": "swh",
        "ms": "zsm",
        "no": "nob",
        "et": "est",
        "tl": "tgl",
    }
    assert {name: _code(name, known) for name in names} == names
    assert [_code(code, known) for code in known] == known
    assert _code("fr", ["fra"]) == _code("fra", ["fra"]) == _code("fre", ["fra"]) == "fra"


def test_a_group_without_languages_has_no_average(folder):
    assert [average.name for average in tatoeba(_encode, folder, ["yue"]).averages] == ["112 languages"]


@pytest.mark.parametrize(("name", "near"), [("qqq", ".*"), ("dex", ".*"), ("thai", "tha"), ("37", "36"), ("??", ".*")])
def test_an_unknown_language_is_answered_with_the_nearest(folder, name, near):
    with pytest.raises(UserError, match=rf"unknown language .*did you mean '{near}'"):
        tatoeba(_encode, folder, [name])


def test_missing_things_are_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"tatoeba\.fra-eng\.fra: no such file"):
        tatoeba(_encode, folder, ["deu", "fra"])
    (folder / "tatoeba.deu-eng.eng").unlink()
    with pytest.raises(UserError, match=r"tatoeba\.deu-eng\.eng: no such file"):
        tatoeba(_encode, folder)
    with pytest.raises(UserError, match=r"nowhere: there is no such folder"):
        tatoeba(_encode, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no file named like"):
        tatoeba(_encode, tmp_path / "empty")
    (tmp_path / "other").mkdir()
    _write(tmp_path / "other", "yue", ["a"], ["b"])
    with pytest.raises(UserError, match=r"holds none of the languages asked for \(14\)"):
        tatoeba(_encode, tmp_path / "other", ["14"])


def test_sides_of_different_length_are_named(folder):
    (folder / "tatoeba.afr-eng.eng").write_text("cat\n")
    with pytest.raises(UserError, match=r"afr-eng\.afr has 2 lines but .*afr-eng\.eng has 1"):
        tatoeba(_encode, folder)


# What sentence-transformers 6.2 gives for this checkpoint, xx->eng and eng->xx.
PUBLISHED = {
    "deu": (98.0, 96.2), "fra": (92.2, 92.8), "cmn": (91.6, 89.3), "rus": (92.3, 90.8), "swh": (73.3, 75.9),
    "kat": (84.9, 87.5), "tha": (93.4, 89.2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.full  # test_real_models.py compares its embeddings
@pytest.mark.parametrize("language", PUBLISHED)
def test_multilingual_e5_small(real_data, language):
    """The accuracies of a real checkpoint in our encoder."""
    checkpoint = os.environ.get("JAXEMB_TEST_E5")
    if checkpoint is None:
        pytest.skip("no checkpoint: set JAXEMB_TEST_E5 to a folder with multilingual-e5-small")
    embedder = load(checkpoint).with_prompt("query: ")
    report = tatoeba(partial(encode, embedder), real_data / "tatoeba", [language])
    assert (report.pairs[0].forward, report.pairs[0].backward) == pytest.approx(PUBLISHED[language], abs=0.2)
