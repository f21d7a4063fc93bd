import collections

import numpy as np
import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TextSource, TokenizerConfig
from jaxemb.data import prepare, tokenize, train_tokenizer
from jaxemb.data.cut import Cut, describe_cut
from jaxemb.data.tokenized import pad


@pytest.fixture
def tokenizer(prepared):
    return train_tokenizer(prepared, TokenizerConfig(vocab_size=300), max_length=16)


def test_rows_are_the_tokenizer_s(prepared, tokenizer):
    pairs = tokenize(prepared, tokenizer, max_length=8, prompt="query: ")
    assert len(pairs) == len(prepared.train)
    rows = np.array([5, len(pairs) - 1, 0, 5])
    sides = [pad(side, 10, 0) for side in pairs.token_ids(rows)]
    records = prepared.train.__getitems__(rows)
    for side, texts in zip(sides, ([r.anchor for r in records], [r.positive for r in records]), strict=True):
        expected = tokenizer([f"query: {text}" for text in texts], truncation=True, max_length=8, padding="max_length")
        for key in ("input_ids", "attention_mask"):
            assert side[key].dtype == np.int32
            assert side[key].shape == (4, 10)
            np.testing.assert_array_equal(side[key][:, :8], expected[key])
            assert not side[key][:, 8:].any()
    np.testing.assert_array_equal(pairs.lengths[rows][:, 0], sides[0]["attention_mask"].sum(axis=1))
    np.testing.assert_array_equal(pairs.lengths[rows][:, 1], sides[1]["attention_mask"].sum(axis=1))


def test_each_side_has_its_prompt(prepared, tokenizer):
    pairs = tokenize(prepared, tokenizer, 12, "query: ", "passage: ")
    rows = np.array([7, 0, 3])
    records = prepared.train.__getitems__(rows)
    wanted = ([f"query: {record.anchor}" for record in records], [f"passage: {record.positive}" for record in records])
    for ids, texts in zip(pairs.token_ids(rows), wanted, strict=True):
        assert [one.tolist() for one in ids] == tokenizer(texts, truncation=True, max_length=12)["input_ids"]
    alike = tokenize(prepared, tokenizer, 12, "query: ", "query: ")
    assert alike.path == tokenize(prepared, tokenizer, 12, "query: ").path != pairs.path
    assert alike.path != tokenize(prepared, tokenizer, 12, "query: ", "").path


def test_a_sentence_under_two_prompts_is_two_texts(tmp_path, tokenizer):
    (tmp_path / "text.txt").write_text("one two\nthree four\n")
    config = DataConfig(
        root=str(tmp_path), sources=(TextSource(path="text.txt"),), holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    anchors, positives = tokenize(prepare(config, 0), tokenizer, 32, "query: ", "passage: ").token_ids(np.arange(2))
    for ids, prompt in ((anchors, "query"), (positives, "passage")):
        wanted = tokenizer([f"{prompt}: one two", f"{prompt}: three four"])["input_ids"]
        assert [one.tolist() for one in ids] == wanted


def test_equal_texts_and_only_they_have_equal_hashes(prepared, tokenizer):
    pairs = tokenize(prepared, tokenizer, max_length=8)
    rows = np.arange(len(pairs))
    anchors, positives = pairs.columns(rows).values()
    assert anchors.dtype == np.uint32
    assert anchors.shape == positives.shape == (len(pairs), 2)
    records = prepared.train.__getitems__(rows)
    for hashes, texts in ((anchors, [r.anchor for r in records]), (positives, [r.positive for r in records])):
        assert len(
            {(*pair, text) for pair, text in zip(hashes.tolist(), texts, strict=True) for pair in [tuple(pair)]}
        ) == len(set(texts))
        assert len(np.unique(hashes, axis=0)) == len(set(texts))


def test_cache_is_used_and_keyed_by_what_matters(prepared, tokenizer):
    before = tokenizer.backend_tokenizer.to_str()
    first = tokenize(prepared, tokenizer, max_length=8)
    assert tokenizer.backend_tokenizer.to_str() == before
    # Truncation that an earlier call left behind is not a difference.
    tokenizer(["a long text " * 20], truncation=True, max_length=3)
    assert tokenize(prepared, tokenizer, max_length=8).path == first.path
    other = train_tokenizer(prepared, TokenizerConfig(vocab_size=250), max_length=16)
    paths = {
        first.path,
        tokenize(prepared, tokenizer, max_length=9).path,
        tokenize(prepared, tokenizer, max_length=8, prompt="query: ").path,
        tokenize(prepared, other, max_length=8).path,
    }
    assert len(paths) == 4
    tokenizer.truncation_side = "left"
    assert tokenize(prepared, tokenizer, max_length=8).path not in paths


@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_cut_where_the_tokenizer_says(prepared, tokenizer, side):
    tokenizer.truncation_side = side
    pairs = tokenize(prepared, tokenizer, max_length=5, prompt="query: ")
    rows = np.arange(20)
    texts = [f"query: {record.anchor}" for record in prepared.train.__getitems__(rows)]
    expected = tokenizer(texts, truncation=True, max_length=5)["input_ids"]
    assert [ids.tolist() for ids in pairs.token_ids(rows)[0]] == expected
    assert expected != tokenizer(texts)["input_ids"]


def test_what_is_cut_is_counted_by_language(prepared, tokenizer):
    pairs = tokenize(prepared, tokenizer, max_length=6)
    counted = collections.defaultdict(Cut)
    for record in prepared.train.__getitems__(np.arange(len(pairs))):
        for language, text in ((record.anchor_lang, record.anchor), (record.positive_lang, record.positive)):
            length = len(tokenizer(text, add_special_tokens=False)["input_ids"])
            counted[language].add(min(length, 4), max(length - 4, 0))
    assert pairs.cut == counted
    assert 0 < pairs.cut["en"].cut_texts < pairs.cut["en"].texts
    line = describe_cut(pairs.cut, 6)
    assert line.startswith("warning: data.max_length = 6 cuts ")
    assert f"en {pairs.cut['en'].share:.1%} ({pairs.cut['en'].token_share:.1%})" in line
    assert describe_cut(tokenize(prepared, tokenizer, max_length=40).cut, 40) == (
        "data.max_length = 40 cuts 0.0% of the texts (0.0% of the tokens)"
    )


def test_large_vocabularies(prepared, tokenizer):
    # Ids beyond 16 bits, as in LaBSE and XLM-R.
    tokenizer.add_tokens([f"extra{i}" for i in range(70_000)] + ["Datei"])
    pairs = tokenize(prepared, tokenizer, max_length=16)
    anchor, positive = [pad(side, 16, 0) for side in pairs.token_ids(np.arange(len(pairs)))]
    assert positive["input_ids"].max() < 70_000  # "Datei" was in the vocabulary
    tokenizer.add_tokens(["Datei öffnet"])
    pairs = tokenize(prepared, tokenizer, max_length=16)
    anchor, positive = [pad(side, 16, 0) for side in pairs.token_ids(np.arange(len(pairs)))]
    assert positive["input_ids"].max() == len(tokenizer) - 1 > 1 << 16
    assert anchor["input_ids"].max() < 300
