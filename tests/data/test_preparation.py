import gzip
import json

import numpy as np
import pytest

from data.conftest import sentences
from jaxemb.config import DataConfig, FilterConfig, HoldoutConfig, MosesSource, TsvSource
from jaxemb.data import Record, prepare
from jaxemb.data.pairs.normalize import decontamination_key
from jaxemb.data.preparation import _settings
from jaxemb.errors import UserError
from jaxemb.language_tags import is_english


def english_side(record: Record) -> str:
    return record.positive if is_english(record.positive_lang) else record.anchor


def assert_sound(data):
    """The books balance, nothing is twice, and no English side is on both sides of the cut."""
    train = data.train.__getitems__(range(len(data.train)))
    assert len({(r.anchor_lang, r.anchor, r.positive_lang, r.positive) for r in train}) == len(train)
    for counts in data.report["languages"].values():
        assert counts["read"] == counts["train"] + counts["heldout"] + sum(counts["dropped"].values())
    trained = {decontamination_key(english_side(record)) for record in train}
    for language, records in data.heldout.items():
        assert data.report["languages"][language]["heldout"] == len(records)
        held = [decontamination_key(english_side(record)) for record in records]
        assert len(set(held)) == len(held)
        assert not trained & set(held)
        assert len({(r.anchor, r.positive) for r in records}) == len(records)
    counted = np.bincount(data.language_of, minlength=len(data.languages)).tolist()
    assert counted == [data.report["languages"][language]["train"] for language in data.languages]
    return train


def test_pairs_of_two_languages(prepared):
    train = assert_sound(prepared)
    assert prepared.languages == ["de", "ja"]
    assert {language: len(records) for language, records in prepared.heldout.items()} == {"de": 40, "ja": 40}
    assert len(train) + prepared.report["totals"]["dropped"]["english_side_held_out"] == 800 - 80
    assert [train[i].positive_lang for i in (0, -1)] == ["de", "ja"]
    assert prepared.train[3] == train[3]
    triples = {(en, text) for en, de, ja in sentences() for text in (de, ja)}
    assert {(record.anchor, record.positive) for record in train} <= triples


@pytest.mark.parametrize("name", ["en", "eng", "eng_Latn", "EN", "en-GB"])
def test_held_out_english_does_not_leak_under_another_name(tmp_path, name):
    """Two sources with the same English sides, one of which names English in another way."""
    english = [f"the {word} thing number {'x' * n}" for n, word in enumerate("one two three four five".split() * 8)]
    for file, side in (
        ("en", english),
        ("de", [f"de {line}" for line in english]),
        ("fr", [f"f {e}" for e in english]),
    ):
        (tmp_path / file).write_text("".join(f"{line}\n" for line in side))
    config = DataConfig(
        root=str(tmp_path),
        sources=(
            MosesSource(anchor_path="en", positive_path="de", positive_lang="deu_Latn"),
            MosesSource(anchor_path="fr", positive_path="en", anchor_lang="FR", positive_lang=name),
        ),
        holdout=HoldoutConfig(pairs_per_language=5, max_share=0.5),
        cache_dir=str(tmp_path / "cache"),
    )
    data = prepare(config, 0)
    train = assert_sound(data)
    assert data.languages == ["de", "fr"]
    assert [len(pool) for pool in data.heldout.values()] == [5, 5]
    held = {decontamination_key(english_side(record)) for pool in data.heldout.values() for record in pool}
    trained = {decontamination_key(text) for r in train for text in (r.anchor, r.positive) if text in english}
    assert len(held) >= 5
    assert not held & trained
    assert np.asarray(data.english_sides).tolist() == [1] * len(train)


def test_newer_settings_of_sources_change_the_key_only_where_they_are_set():
    """Null leaves the key as it was before there was the setting, so the older cache is found again."""
    plain, with_negatives = (
        _settings(DataConfig(sources=(TsvSource(path="x.tsv", negative_column=column),)))["sources"][0]
        for column in (None, 2)
    )
    assert "negative_column" not in plain
    assert with_negatives["negative_column"] == 2


def test_hashes_belong_to_the_texts(prepared):
    train = prepared.train.__getitems__(range(len(prepared.train)))
    for side, texts in enumerate(([r.anchor for r in train], [r.positive for r in train])):
        hashes = prepared.hashes[:, side].tolist()
        assert len(set(zip(hashes, texts, strict=True))) == len(set(hashes)) == len(set(texts))


def test_duplicates_reasons_and_bad_lines(tmp_path):
    lines = [f"message number {'x' * i}\tNachricht {'y' * i}" for i in range(1, 60)]
    lines += [
        "message number x\tandere Nachricht",  # no duplicate: another translation
        lines[0],
        "  message   number x\tNachricht y",
        "Same\tSame",
        "\tempty",
        "short\t" + "long " * 40,
        "no tab",
    ]
    (tmp_path / "en-de.tsv").write_text("\n".join(lines))
    config = DataConfig(
        root=str(tmp_path),
        sources=(TsvSource(path="en-de.tsv"),),
        filters=FilterConfig(max_bad_line_share=0.1),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path),
    )
    data = prepare(config, 0)
    assert_sound(data)
    dropped = {"duplicate": 2, "empty": 1, "identical": 1, "length_ratio": 1}
    assert data.report["totals"] == {"read": 65, "train": 60, "heldout": 0, "dropped": dropped, "bad_lines": 1}
    (file,) = data.report["bad_lines"]
    assert "en-de.tsv:66: 1 columns where at least 2 are needed: 'no tab'" in file["first"]
    assert data.heldout == {}
    json.dumps(data.report)

    strict = config.model_copy(update={"filters": FilterConfig()})
    with pytest.raises(UserError, match=r"en-de\.tsv: 1 of 66 lines are malformed .* line 66.*'no tab'"):
        prepare(strict, 0)


def test_english_may_be_the_positive_and_may_be_missing(tmp_path):
    triples = sentences()
    (tmp_path / "en").write_text("".join(f"{en}\n" for en, _, _ in triples))
    (tmp_path / "de").write_text("".join(f"{de}\n" for _, de, _ in triples))
    (tmp_path / "ja").write_text("".join(f"{ja}\n" for _, _, ja in triples))
    sources = (
        MosesSource(anchor_path="de", positive_path="en", anchor_lang="de", positive_lang="en"),
        MosesSource(anchor_path="en", positive_path="ja", positive_lang="ja"),
        MosesSource(anchor_path="de", positive_path="ja", anchor_lang="de", positive_lang="ja"),
    )
    config = DataConfig(root=str(tmp_path), sources=sources, cache_dir=str(tmp_path / "c"))
    data = prepare(config, 0)
    assert data.languages == ["de", "de-ja", "ja"]
    held = {english_side(record) for language in ("de", "ja") for record in data.heldout[language]}
    trained = {english_side(r) for r in assert_sound(data) if "en" in (r.anchor_lang, r.positive_lang)}
    assert held
    assert not held & trained


def test_second_call_opens_the_cache_and_a_change_makes_a_new_one(data_config, tmp_path, monkeypatch):
    first = prepare(data_config, 0)
    with monkeypatch.context() as patch:
        patch.setattr("jaxemb.data.preparation._write", lambda *_: pytest.fail("the cache was not used"))
        again = prepare(data_config.model_copy(update={"language_exponent": 0.5, "workers": 0}), 0)
    assert again.path == first.path
    assert again.heldout == first.heldout
    changed = [
        prepare(data_config, 1),
        prepare(data_config.model_copy(update={"filters": FilterConfig(min_chars=2)}), 0),
    ]
    monkeypatch.setattr("jaxemb.data.preparation.VERSION", -1)
    changed.append(prepare(data_config, 0))
    with (tmp_path / "en-de.tsv").open("a") as file:
        file.write("one more\teins mehr\n")
    changed.append(prepare(data_config, 0))
    assert len({data.path for data in (first, *changed)}) == 5


def test_nothing_is_left_behind_after_an_error(data_config, tmp_path):
    (tmp_path / "en-xx.tsv").write_bytes(gzip.compress(b"a\tb\n" * 1000)[:-9])
    with pytest.raises(UserError, match=r"en-xx\.tsv: the gzip file is truncated"):
        prepare(data_config, 0)
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_pair_left(data_config):
    with pytest.raises(UserError, match=r"no pair is left after data\.filters: 800 too_short"):
        prepare(data_config.model_copy(update={"filters": FilterConfig(min_chars=500, max_chars=501)}), 0)


def test_real_bitext(real_data, tmp_path):
    sources = tuple(TsvSource(path=f"bitext/en-{language}.tsv.gz") for language in ("hi", "th", "sr-latn"))
    data = prepare(DataConfig(root=str(real_data), sources=sources, cache_dir=str(tmp_path)), 0)
    assert_sound(data)
    assert data.languages == ["hi", "sr-Latn", "th"]
    assert min(len(records) for records in data.heldout.values()) > 150
    assert data.report["totals"]["bad_lines"] == 0
