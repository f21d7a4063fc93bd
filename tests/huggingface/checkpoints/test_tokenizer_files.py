"""Tokenizers without a tokenizer.json, and each key of tokenizer_config.json: as transformers reads them."""

import importlib.util
import json

import numpy as np
import pytest

from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model, load_tokenizer, save_tokenizer
from support.model_folders import edit
from support.tiny_models import ENCODERS, TOKENIZER, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["A man plays.", "Съешь же ещё", "", "café [MASK] <mask> naïve 東京", "x y z " * 30]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CHANGED = {
    "model_max_length": 9, "tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids"],
    "cls_token": "a", "sep_token": "a", "pad_token": "a", "unk_token": "a", "mask_token": "a", "bos_token": "a",
    "eos_token": "a", "padding_side": "left", "truncation_side": "left",
    "auto_map": {"AutoTokenizer": ["a.B", None]}, "add_bos_token": True, "add_eos_token": True,
    "strip_accents": True,
}  # fmt: skip

REFUSED = ("split_special_tokens", "model_input_names", "auto_map")


def byte_level(folder):
    """A RoBERTa vocabulary: vocab.json and merges.txt."""
    from tokenizers import ByteLevelBPETokenizer

    backend = ByteLevelBPETokenizer()
    backend.train_from_iterator(TEXTS * 3, vocab_size=300, special_tokens=SPECIAL)
    folder.mkdir(parents=True, exist_ok=True)
    backend.save_model(str(folder))


def word_pieces(folder):
    """A BERT vocabulary: vocab.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    words = sorted(TOKENIZER.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(word for word, _ in words) + "\n", encoding="utf-8")


def sentence_transformer(folder):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.mark.parametrize(("family", "write"), [("roberta", byte_level), ("bert", word_pieces)])
def test_the_older_files_alone_make_the_tokenizer_that_sentence_transformers_makes(family, write, tmp_path):
    folder = tmp_path / "model"
    encoder = ENCODERS[family].model_copy(update={"vocab_size": 700, "num_hidden_layers": 1})
    model = tiny_embedder(encoder=encoder, pooling="mean", dense=None)
    export(model, folder, verify="jax")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    write(folder)
    loaded = load_model(folder)
    np.testing.assert_allclose(loaded.encode(TEXTS), sentence_transformer(folder).encode(TEXTS), atol=1e-5)
    export(loaded, tmp_path / "again", verify="torch")


def test_half_of_a_vocabulary_is_refused(tmp_path):
    byte_level(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(UserError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").unlink()
    word_pieces(tmp_path)  # of another family: transformers would make a tokenizer of five tokens
    with pytest.raises(
        UserError, match=r"RobertaTokenizer needs merges\.txt and vocab\.json, which are missing: add them"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("sentencepiece") is not None, reason="sentencepiece is there")
def test_a_model_of_sentencepiece_needs_its_reader(tmp_path):
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"")
    with pytest.raises(UserError, match=r"pip install sentencepiece"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(("family", "write"), [("roberta", byte_level), ("bert", word_pieces)])
def test_every_key_of_tokenizer_config_is_as_transformers_reads_it_or_refused(family, write, tmp_path):
    import transformers

    folder = tmp_path / "tokenizer"
    write(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    written = json.loads((folder / "tokenizer_config.json").read_text())
    assert len(written) >= 9
    changed = 0
    plain = load_tokenizer(folder)(TEXTS)["input_ids"]
    for key in [*written, *CHANGED, "split_special_tokens", "do_lower_case", "strip_accents", "add_prefix_space"]:
        value = CHANGED.get(key, not written.get(key) if isinstance(written.get(key, False), bool) else "other")
        edit(folder / "tokenizer_config.json", **{key: value})
        if key in REFUSED:
            with pytest.raises(UserError, match=key):
                load_tokenizer(folder)
        else:
            ours = load_tokenizer(folder)
            wanted = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS)["input_ids"]
            assert ours(TEXTS)["input_ids"] == wanted, key
            changed += wanted != plain
            save_tokenizer(ours, tmp_path / key)  # what it did goes into an export
            assert load_tokenizer(tmp_path / key)(TEXTS)["input_ids"] == wanted, key
        (folder / "tokenizer_config.json").write_text(json.dumps(written))
    assert changed >= 3


def test_lower_casing_is_part_of_the_tokenizer_as_in_sentence_transformers(model_folder, tmp_path):
    edit(model_folder / "sentence_bert_config.json", do_lower_case=True)
    loaded = load_model(model_folder)
    upper = ["A MAN PLAYS.", "ÀÉ İ STRAẞE"]
    np.testing.assert_allclose(loaded.encode(upper), sentence_transformer(model_folder).encode(upper), atol=1e-5)
    assert not np.allclose(loaded.encode(upper), tiny_embedder().encode(upper), atol=1e-2)
    export(Embedder(loaded.config, loaded.params, loaded.tokenizer), tmp_path / "again", verify="jax")
    again = load_model(tmp_path / "again")
    np.testing.assert_allclose(again.encode(upper), loaded.encode(upper), atol=1e-6)
