import json
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from data.conftest import write_corpus
from data.vocabulary.test_sampling import drawn
from jaxemb.config import DataConfig, HoldoutConfig, JsonlSource, TextSource, TokenizerConfig, TsvSource
from jaxemb.data import gather, train_tokenizer

CONFIG = TokenizerConfig(vocab_size=300)


def unknown_share(tokenizer, texts):
    """Share of the tokens of these texts, special tokens aside, that are `[UNK]`."""
    unknown = tokens = 0
    for encoding in tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False):
        unknown += encoding.ids.count(tokenizer.unk_token_id)
        tokens += len(encoding.ids)
    return unknown / max(tokens, 1)


@pytest.fixture
def tokenizer(gathered):
    return train_tokenizer(gathered, CONFIG, max_length=16, seed=0)


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
def test_case(gathered, lowercase):
    tokenizer = train_tokenizer(gathered, TokenizerConfig(vocab_size=300, lowercase=lowercase), max_length=16)
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


def test_training_is_deterministic_across_processes(tmp_path, tokenizer):
    # The trainer's hash maps are seeded by the process, and it gathers the same examples into a cache of its own.
    code = (
        "import json, sys; from jaxemb.config import DataConfig, TokenizerConfig; from jaxemb.data import *;"
        "data = gather(DataConfig.model_validate_json(sys.argv[1]), 0);"
        "print(json.dumps(train_tokenizer(data, TokenizerConfig(vocab_size=300), 16, 0).get_vocab()))"
    )
    config = write_corpus(tmp_path).model_dump_json()
    output = subprocess.run([sys.executable, "-c", code, config], check=True, capture_output=True, text=True).stdout
    assert json.loads(output) == tokenizer.get_vocab()


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
        data = gather(DataConfig(root=str(tmp_path), sources=(source,), holdout=none, cache_dir=str(tmp_path)), 0)
        sample = drawn(data.corpus)
        assert {tag for tag, _ in sample} == {language}
        assert {text for _, texts in sample for text in texts} == wanted
        if len(wanted) == 90:
            assert sum(sample.values()) == 2 * 90  # the quota, all of it


def test_real_scripts_are_hardly_ever_unknown(real_data, tmp_path):
    sources = tuple(TsvSource(path=f"bitext/en-{language}.tsv.gz") for language in ("hi", "th", "sr-latn"))
    config = DataConfig(
        root=str(real_data),
        sources=sources,
        holdout=HoldoutConfig(pairs_per_language=100),
        cache_dir=str(tmp_path),
    )
    data = gather(config, 0)
    tokenizer = train_tokenizer(data, TokenizerConfig(vocab_size=2000), max_length=64)
    for records in data.heldout.values():
        assert unknown_share(tokenizer, [record.positive for record in records]) < 0.005
        assert unknown_share(tokenizer, [record.anchor for record in records]) < 0.005
