import gzip
import json
from collections import Counter

import pytest

from data.conftest import sentences
from jaxemb.config import (
    DataConfig,
    FilterConfig,
    HoldoutConfig,
    JsonlSource,
    LanguageIdentification,
    MosesSource,
    NgramOverlap,
    TsvSource,
)
from jaxemb.data import Record, gather
from jaxemb.data.gathering import cleaning, units
from jaxemb.data.gathering import gather as gathering
from jaxemb.data.gathering.rows import Row
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.normalize import decontamination_key, text_hash
from jaxemb.errors import UserError
from jaxemb.files import is_partial
from jaxemb.language_tags import is_english


def english_side(record: Record) -> str:
    return record.positive if is_english(record.positive_lang) else record.anchor


def assert_sound(data):
    """The books balance, nothing is twice, and no English side is on both sides of the cut."""
    train = list(data.records())
    assert data.examples == len(train)
    assert len({(r.anchor_lang, r.anchor, r.positive_lang, r.positive) for r in train}) == len(train)
    for counts in data.report["languages"].values():
        assert counts["read"] == counts["train"] + counts["heldout"] + sum(counts["dropped"].values())
    trained = {decontamination_key(english_side(record)) for record in train}
    for language, records in data.heldout.items():
        assert data.report["languages"][language]["heldout"] == len(records)
        assert records == [gathering._row(data.corpus.chunks[chunk], row) for chunk, row in data._heldout[language]]
        assert {pair_language(record.anchor_lang, record.positive_lang) for record in records} == {language}
        held = [decontamination_key(english_side(record)) for record in records]
        assert len(set(held)) == len(held)
        assert not trained & set(held)
        assert len({(r.anchor, r.positive) for r in records}) == len(records)
    counted = Counter(pair_language(record.anchor_lang, record.positive_lang) for record in train)
    assert {language: counted[language] for language in data.languages} == {
        language: data.report["languages"][language]["train"] for language in data.languages
    }
    return train


def test_pairs_of_two_languages(gathered):
    train = assert_sound(gathered)
    assert gathered.languages == ["de", "ja"]
    assert {language: len(records) for language, records in gathered.heldout.items()} == {"de": 40, "ja": 40}
    assert len(train) + gathered.report["totals"]["dropped"]["english_side_held_out"] == 800 - 80
    assert gathered.epoch == len(train)
    assert gathered.largest_labels == [None]
    # In the order of files and rows.
    places = [(record.positive_lang, int(record.id.rpartition(":")[2])) for record in train]
    assert places == sorted(places)
    assert {language for language, _ in places} == {"de", "ja"}
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
    data = gather(config, 0)
    train = assert_sound(data)
    assert data.languages == ["de", "fr"]
    assert [len(pool) for pool in data.heldout.values()] == [5, 5]
    held = {decontamination_key(english_side(record)) for pool in data.heldout.values() for record in pool}
    trained = {decontamination_key(text) for r in train for text in (r.anchor, r.positive) if text in english}
    assert len(held) >= 5
    assert not held & trained
    assert all(is_english(r.anchor_lang) != is_english(r.positive_lang) for r in train)


def test_settings_that_change_the_examples_change_the_key(tmp_path, monkeypatch):
    """And no others do: those of training keep it."""
    monkeypatch.setattr("jaxemb.data.pairs.clean.in_another_language", lambda *_: False)  # needs an extra
    (tmp_path / "en-de.tsv").write_text("a cat sat here\teine Katze\ntwo dogs\tzwei Hunde\n")
    (tmp_path / "none.txt").write_text("something else\n")
    source = TsvSource(path="en-de.tsv")
    plain = {
        "root": str(tmp_path), "sources": (source,), "cache_dir": str(tmp_path / "cache"),
        "holdout": HoldoutConfig(pairs_per_language=0),
    }  # fmt: skip

    def key(**settings):
        return gather(DataConfig(**{**plain, **settings}), 0).path.name

    first = key()
    for same in (
        {"sources": (source.model_copy(update={"weight": 2.0, "anchor_prompt": "q", "positive_prompt": "p"}),)},
        {"language_exponent": 0.5, "workers": 0, "max_length": 9, "batches": "one_source"},
    ):
        assert key(**same) == first
    other = [
        key(sources=(source.model_copy(update={"positive_lang": "fr"}),)),
        key(sources=(source, source)),
        key(filters=FilterConfig(identify_language=LanguageIdentification())),
        key(filters=FilterConfig(drop_identical=False)),
        key(holdout=HoldoutConfig(pairs_per_language=0, max_share=0.5)),
        key(exclude=("none.txt",)),
        key(exclude=("none.txt",), exclude_ngrams=NgramOverlap()),
    ]
    assert len({first, *other}) == 1 + len(other)


def test_hashes_belong_to_the_texts(gathered):
    for chunk in gathered.corpus.chunks:
        for side in ("anchor", "positive"):
            texts = chunk.table[side].to_pylist()
            hashes = chunk.column(f"{side}_hash").tolist()
            assert hashes == list(map(text_hash, texts))
            assert len(set(hashes)) == len(set(texts))


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
    data = gather(config, 0)
    assert_sound(data)
    dropped = {"duplicate": 2, "empty": 1, "identical": 1, "length_ratio": 1}
    assert data.report["totals"] == {"read": 65, "train": 60, "heldout": 0, "dropped": dropped, "bad_lines": 1}
    (file,) = data.report["bad_lines"]
    assert "en-de.tsv:66: 1 columns where at least 2 are needed: 'no tab'" in file["first"]
    assert data.heldout == {}
    json.dumps(data.report)

    strict = config.model_copy(update={"filters": FilterConfig()})
    with pytest.raises(UserError, match=r"en-de\.tsv: 1 of 66 lines are malformed .* line 66.*'no tab'"):
        gather(strict, 0)


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
    data = gather(config, 0)
    assert data.languages == ["de", "de-ja", "ja"]
    held = {english_side(record) for language in ("de", "ja") for record in data.heldout[language]}
    trained = {english_side(r) for r in assert_sound(data) if "en" in (r.anchor_lang, r.positive_lang)}
    assert held
    assert not held & trained


def test_second_call_opens_the_cache_and_a_change_makes_a_new_one(data_config, tmp_path, monkeypatch):
    first = gather(data_config, 0)
    with monkeypatch.context() as patch:
        for module, name in ((gathering, "_divide"), (cleaning, "read_unit")):
            patch.setattr(module, name, lambda *_: pytest.fail("the cache was not used"))
        again = gather(data_config.model_copy(update={"language_exponent": 0.5, "workers": 0}), 0)
    assert again.path == first.path
    assert again.heldout == first.heldout
    assert list(again.records()) == list(first.records())
    assert again.report == first.report
    changed = [
        gather(data_config, 1),
        gather(data_config.model_copy(update={"filters": FilterConfig(min_chars=2)}), 0),
    ]
    monkeypatch.setattr(gathering, "VERSION", -1)
    changed.append(gather(data_config, 0))
    with (tmp_path / "en-de.tsv").open("a") as file:
        file.write("one more\teins mehr\n")
    changed.append(gather(data_config, 0))
    (tmp_path / "en-fr.tsv").write_text("two more\tdeux de plus\n")  # a file that the pattern finds only now
    changed.append(gather(data_config, 0))
    assert changed[-1].languages == ["de", "fr", "ja"]
    assert len({data.path for data in (first, *changed)}) == 6


def test_nothing_is_left_behind_after_an_error(data_config, tmp_path):
    (tmp_path / "en-xx.tsv").write_bytes(gzip.compress(b"a\tb\n" * 1000)[:-9])
    with pytest.raises(UserError, match=r"en-xx\.tsv: the gzip file is truncated"):
        gather(data_config, 0)
    left = list((tmp_path / "cache").rglob("*"))
    assert not [path for path in left if path.is_file() or is_partial(path) or path.name.startswith("gathered")]
    (tmp_path / "en-xx.tsv").write_text("a\tb\n")
    assert gather(data_config, 0).languages == ["de", "ja", "xx"]


def test_the_faster_of_two_processes_wins(data_config, monkeypatch):
    """Of two that gather the same at a time, neither sees a file of the other that is not whole."""
    divide, found = gathering._divide, []

    def slower(*arguments):
        monkeypatch.setattr(gathering, "_divide", divide)
        found.append(gather(data_config, 0))
        divide(*arguments)

    monkeypatch.setattr(gathering, "_divide", slower)
    found.append(gather(data_config, 0))
    assert found[0].path == found[1].path
    assert list(found[0].records()) == list(found[1].records())
    cache = found[0].path.parent
    assert [path.name for path in cache.iterdir() if is_partial(path) or path.name.startswith("gathered")] == [
        found[0].path.name
    ]


def test_what_is_found_in_the_cache_is_not_changed(gathered):
    """The cache may belong to another user."""
    again = gathering.Gathered(gathered.path, gathered.corpus.chunks)
    assert not any(fates.flags.writeable for fates in again.corpus.fates)
    assert list(again.records()) == list(gathered.records())


def test_the_hash_of_the_examples_is_that_of_what_they_are(tmp_path):
    """Whatever their order and the number of files; a label counts."""
    lines = [json.dumps({"anchor": f"a {n}", "positive": f"b {n}", "y": n % 3}) + "\n" for n in range(20)]

    def found(name, *files, **more):
        folder = tmp_path / name
        folder.mkdir()
        for number, file in enumerate(files):
            (folder / f"{number}.jsonl").write_text("".join(file))
        source = JsonlSource(path="*.jsonl", **{"label_key": "y", **more})
        none = HoldoutConfig(pairs_per_language=0)
        return gather(DataConfig(root=str(folder), sources=(source,), holdout=none, cache_dir=str(folder)), 0)

    one = found("one", lines)
    assert one.largest_labels == [2]
    same = [one, found("two", lines[10:], lines[:10]), found("twice", lines, lines[3:5])]
    other = [
        found("fewer", lines[1:]),
        found("unlabelled", lines, label_key=None),
        found("label", [lines[0].replace('"y": 0', '"y": 1'), *lines[1:]]),
    ]
    assert len({data.report["train_hash"] for data in same}) == 1
    assert len({data.report["train_hash"] for data in (one, *other)}) == 4


def test_files_of_a_source_with_unequally_many_negatives_are_refused(tmp_path, monkeypatch):
    for number in (0, 1):
        (tmp_path / f"{number}.tsv").write_text("a\tb\n")

    def read(unit, *_):
        for row in range(3):
            record = Record("a", f"b {row}", ("c",) * unit.first, anchor_lang="en", positive_lang="de", id=f"x:{row}")
            yield [Row(unit.first, row, 0, record)]

    monkeypatch.setattr(units, "UNIT_BYTES", 1)  # so that the files are in two chunks
    monkeypatch.setattr(cleaning, "read_unit", read)
    source = TsvSource(path="*.tsv", positive_lang="de")
    config = DataConfig(root=str(tmp_path), sources=(source,), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"x:\d has 1 hard negatives, but the examples before it have 0: all must have"):
        gather(config, 0)


def test_no_pair_left(data_config):
    with pytest.raises(UserError, match=r"no pair is left after data\.filters: 800 too_short"):
        gather(data_config.model_copy(update={"filters": FilterConfig(min_chars=500, max_chars=501)}), 0)


def test_real_bitext(real_data, tmp_path):
    sources = tuple(TsvSource(path=f"bitext/en-{language}.tsv.gz") for language in ("hi", "th", "sr-latn"))
    data = gather(DataConfig(root=str(real_data), sources=sources, cache_dir=str(tmp_path)), 0)
    assert_sound(data)
    assert data.languages == ["hi", "sr-Latn", "th"]
    assert min(len(records) for records in data.heldout.values()) > 150
    assert data.report["totals"]["bad_lines"] == 0
