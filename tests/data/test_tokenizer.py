import json
import logging
import subprocess
import sys
import types

import numpy as np
import pytest
from transformers import AutoTokenizer

from jaxemb.config import DataConfig, HoldoutConfig, JsonlSource, TextSource, TokenizerConfig, TsvSource
from jaxemb.data import prepare, train_tokenizer
from jaxemb.data.tokenizer import choose_alphabet, sample_texts, smoothed_quotas

CONFIG = TokenizerConfig(vocab_size=300)


def unknown_share(tokenizer, texts):
    """Share of the tokens of these texts, special tokens aside, that are `[UNK]`."""
    unknown = tokens = 0
    for encoding in tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False):
        unknown += encoding.ids.count(tokenizer.unk_token_id)
        tokens += len(encoding.ids)
    return unknown / max(tokens, 1)


@pytest.fixture
def tokenizer(prepared):
    return train_tokenizer(prepared, CONFIG, max_length=16, seed=0)


def test_vocabulary(tokenizer):
    vocabulary = tokenizer.get_vocab()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [vocabulary[token] for token in special] == list(range(5))
    assert tokenizer.pad_token_id == 0
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert len(tokenizer) == len(vocabulary) <= 300
    assert tokenizer.model_max_length == 16
    assert {"delete", "Datei", "書", "類"} <= vocabulary.keys()  # Chinese characters are words of their own


def test_tokens(tokenizer):
    ids = tokenizer("delete the Datei")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "delete", "the", "Datei", "[SEP]"]
    assert tokenizer("Ж")["input_ids"] == [2, 1, 3]
    assert unknown_share(tokenizer, ["delete the", "Ж"]) == pytest.approx(1 / 3)
    assert unknown_share(tokenizer, []) == 0.0


@pytest.mark.parametrize("lowercase", [False, True])
def test_case(prepared, lowercase):
    tokenizer = train_tokenizer(prepared, TokenizerConfig(vocab_size=300, lowercase=lowercase), max_length=16)
    same = tokenizer("DATEI öffnet")["input_ids"] == tokenizer("datei offnet")["input_ids"]
    assert same == lowercase


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == 16
    assert loaded.get_vocab() == tokenizer.get_vocab()
    texts = ["delete the Datei NOW!", "書類 開く", "", "élan", "x " * 50]
    assert loaded(texts, truncation=True)["input_ids"] == tokenizer(texts, truncation=True)["input_ids"]
    assert loaded(texts[0])["token_type_ids"] == [0] * len(loaded(texts[0])["input_ids"])


def test_sentence_transformers_takes_it(tokenizer, tmp_path):
    # Its own reader of a folder with a BERT model; the length must come from the tokenizer.
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    assert model.max_seq_length == 16
    texts = ["delete the Datei", "x " * 50]
    expected = tokenizer(texts, truncation=True, padding=True)["input_ids"]
    assert model.preprocess(texts)["input_ids"].tolist() == expected


def test_training_is_deterministic_across_processes(prepared, tokenizer):
    # The trainer's hash maps are seeded by the process.
    code = (
        "import json, pathlib, sys; from jaxemb.config import TokenizerConfig; from jaxemb.data import *;"
        "data = PreparedData(pathlib.Path(sys.argv[1]));"
        "print(json.dumps(train_tokenizer(data, TokenizerConfig(vocab_size=300), 16, 0).get_vocab()))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(prepared.path)], check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(output) == tokenizer.get_vocab()


def test_the_sample_is_smoothed(prepared):
    def drawn(**settings):
        texts = list(sample_texts(prepared, TokenizerConfig(**settings), seed=0))
        return {tag: sum(n for language, _, n in texts if language == tag) for tag in ("en", "de", "ja")}, texts

    sizes = dict(zip(prepared.languages, np.bincount(prepared.language_of).tolist(), strict=True))
    english = len({record.anchor for record in prepared.train.__getitems__(range(len(prepared.train)))})
    total = sum(sizes.values()) + english

    counts, texts = drawn(language_exponent=0.3)
    weights = {"de": sizes["de"] ** 0.3, "ja": sizes["ja"] ** 0.3, "en": sum(sizes.values()) ** 0.3}
    assert sum(counts.values()) == total
    for language, weight in weights.items():
        assert abs(counts[language] - total * weight / sum(weights.values())) <= 1
    # The smaller language is repeated, each of its sentences about as often as the others.
    repeats = [n for language, _, n in texts if language == "ja"]
    assert len(repeats) == sizes["ja"]
    assert max(repeats) - min(repeats) <= 1

    assert sum(drawn(max_sentences=100)[0].values()) == 100
    uniform = drawn(language_exponent=0.0)[0]
    assert max(uniform.values()) - min(uniform.values()) <= 1


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_sample_of_single_sentences_and_of_triplets(tmp_path, language):
    """Each text once where there is room for all, whichever language and however many texts an example has."""
    (tmp_path / "text.txt").write_text("".join(f"sentence number {n}\n" for n in range(90)))
    rows = [{"anchor": f"a {n % 9}", "positive": f"p {n}", "negative": f"n {n}"} for n in range(60)]
    (tmp_path / "triplets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    languages = {"anchor_lang": language, "positive_lang": language}
    cases = (
        (TextSource(path="text.txt", language=language), {f"sentence number {n}" for n in range(90)}),
        (
            JsonlSource(path="triplets.jsonl", negative_keys=("negative",), **languages),
            {text for row in rows for text in row.values()},
        ),
    )
    for source, wanted in cases:
        none = HoldoutConfig(pairs_per_language=0)
        data = prepare(DataConfig(root=str(tmp_path), sources=(source,), holdout=none, cache_dir=str(tmp_path)), 0)
        drawn = list(sample_texts(data, TokenizerConfig(), seed=0))
        assert {tag for tag, _, _ in drawn} == {language}
        assert {text for _, text, _ in drawn} == wanted
        if len(wanted) == 90:
            assert sum(count for _, _, count in drawn) == 2 * 90  # the quota, all of it


def test_texts_are_streamed(prepared, monkeypatch):
    """The trainer takes them one by one, and no list of them is made."""
    from jaxemb.data import tokenizer as module

    taken, most, drawn = 0, 0, 0

    def watched(*arguments):
        nonlocal drawn
        for item in sample_texts(*arguments):
            drawn += 1
            yield item

    class Trainer:
        normalizer = None

        def train_from_iterator(self, texts, trainer):
            nonlocal taken, most
            before = drawn
            for _ in texts:
                taken += 1
                most = max(most, drawn - before - taken)

        def get_vocab(self):
            return {piece: number for number, piece in enumerate(module.SPECIAL_TOKENS)}

    monkeypatch.setattr(module, "sample_texts", watched)
    original = module.transformers.BertTokenizerFast

    def tokenizer(**settings):
        return original(**settings) if "vocab" in settings else types.SimpleNamespace(backend_tokenizer=Trainer())

    monkeypatch.setattr(module.transformers, "BertTokenizerFast", tokenizer)
    train_tokenizer(prepared, CONFIG, max_length=16)
    assert taken > 500
    assert most <= 1


def test_quotas_add_up():
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights = rng.random(rng.integers(1, 20))
        quotas = smoothed_quotas(weights, 1000)
        assert quotas.sum() == 1000
        assert np.abs(quotas - 1000 * weights / weights.sum()).max() < 1


def test_alphabet_covers_each_language_however_small():
    characters = {"en": {"a": 10**6, "b": 10**6, "é": 1}, "th": {"ก": 60, "ข": 40, " ": 50}}
    assert choose_alphabet(characters, 100) == ["a", "b", "ก", "ข"]


def test_too_small_a_vocabulary_drops_the_rarest(caplog):
    with caplog.at_level(logging.WARNING):
        # Chinese characters take one entry of the vocabulary, letters two.
        assert choose_alphabet({"zh": {"中": 50, "文": 30, "a": 20}}, 3) == ["中", "文"]
    assert "too small for 1 of 3 characters" in caplog.text


def test_real_scripts_are_hardly_ever_unknown(real_data, tmp_path):
    sources = tuple(TsvSource(path=f"bitext/en-{language}.tsv.gz") for language in ("hi", "th", "sr-latn"))
    config = DataConfig(
        root=str(real_data),
        sources=sources,
        holdout=HoldoutConfig(pairs_per_language=100),
        cache_dir=str(tmp_path),
    )
    data = prepare(config, 0)
    tokenizer = train_tokenizer(data, TokenizerConfig(vocab_size=2000), max_length=64)
    for records in data.heldout.values():
        assert unknown_share(tokenizer, [record.positive for record in records]) < 0.005
        assert unknown_share(tokenizer, [record.anchor for record in records]) < 0.005
