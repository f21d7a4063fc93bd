"""A model is served as it was trained: its tokenizer normalises text as training text is normalised."""

import random
import unicodedata

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from jaxemb.config import TokenizerConfig
from jaxemb.data import train_tokenizer
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.tokenizer_normalizer import normalizer, with_normalizer
from jaxemb.encoding import Embedder
from jaxemb.huggingface import export, load_tokenizer, save_tokenizer
from support.tiny_models import tiny_embedder, tiny_tokenizer

TYPED = [
    unicodedata.normalize("NFD", "Tiếng Việt, 한국어 문장 öffnet élan"),
    "two  \n\t words\u00a0and more ",
    "\ufeffmark\x00ed\x85up",
]


def test_it_is_normalize_text_on_every_character():
    ours = normalizer()
    for first in range(0, 0x110000, 64):
        characters = [chr(code) for code in range(first, first + 64) if not 0xD800 <= code < 0xE000]
        text = "".join(f"a{character}b{character} " for character in characters)
        assert ours.normalize_str(text) == normalize_text(text), hex(first)


def test_it_is_normalize_text_on_characters_in_any_order():
    chosen = random.Random(0)
    ranges = [(0, 0x180), (0x300, 0x370), (0x1100, 0x1200), (0x2000, 0x2070), (0xAC00, 0xAC20), (0xFEFF, 0xFF00)]
    characters = [chr(code) for begin, end in ranges for code in range(begin, end)]
    for _ in range(3000):
        text = "".join(chosen.choices(characters, k=chosen.randint(0, 12)))
        assert normalizer().normalize_str(text) == normalize_text(text), ascii(text)


def test_a_trained_tokenizer_reads_text_as_it_is_typed(prepared, tmp_path):
    tokenizer = train_tokenizer(prepared, TokenizerConfig(vocab_size=300), max_length=16)
    save_tokenizer(tokenizer, tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "theirs")
    typed, composed = unicodedata.normalize("NFD", "öffnet löscht"), "öffnet löscht"
    expected = tokenizer(composed)["input_ids"]
    assert tokenizer.unk_token_id not in expected
    for one in (tokenizer, load_tokenizer(tmp_path / "ours"), AutoTokenizer.from_pretrained(tmp_path / "theirs")):
        assert one(typed)["input_ids"] == one(composed)["input_ids"] == expected


def of_bytes():
    backend = Tokenizer(
        models.BPE({character: n for n, character in enumerate(pre_tokenizers.ByteLevel.alphabet())}, [])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="!", model_max_length=99)


def uncased():
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    return tokenizer


@pytest.mark.parametrize("make", [tiny_tokenizer, of_bytes, uncased])
def test_a_tokenizer_that_is_brought_gets_it(make):
    before = make()
    after = with_normalizer(before)
    for text in TYPED:
        assert after(text)["input_ids"] == before(normalize_text(text))["input_ids"]
        assert after(normalize_text(text))["input_ids"] == before(normalize_text(text))["input_ids"]
    assert after.special_tokens_map == before.special_tokens_map
    assert after.model_input_names == before.model_input_names
    assert with_normalizer(after) is after


def test_an_export_embeds_decomposed_text_as_composed_text(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    plain = tiny_embedder()
    embedder = Embedder(plain.config, plain.params, with_normalizer(plain.tokenizer))
    texts = [unicodedata.normalize("NFC", text) for text in TYPED[:1]] + ["élan vital"]
    typed = [unicodedata.normalize("NFD", text) for text in texts]
    assert abs(plain.encode(typed) - plain.encode(texts)).max() > 0.01  # what was wrong
    np.testing.assert_array_equal(embedder.encode(typed), embedder.encode(texts))
    export(embedder, tmp_path / "out", verify="jax")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    np.testing.assert_allclose(theirs.encode(typed), embedder.encode(texts), atol=1e-5)
