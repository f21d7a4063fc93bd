"""A model is served as it was trained: its tokenizer normalises text as training text is normalised."""

import functools
import random
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from jaxemb.config import TokenizerConfig
from jaxemb.data import train_tokenizer
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.vocabulary.normalizer import normalizer, with_normalizer
from jaxemb.encoding import Embedder
from jaxemb.huggingface import export, load_tokenizer, save_tokenizer
from support.real_texts import real_texts
from support.tiers import sampled
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


SPACES = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White_Space of Unicode's PropList.txt, and the four separators that Python counts as well."""
CONTROLS = {*map(chr, [*range(32), *range(0x7F, 0xA0), 0xFEFF])} - {*SPACES}


def by_pyarrow(texts: list[str]) -> list[str]:
    """A second opinion: the NFC of utf8proc, and characters written out."""
    table = str.maketrans({**dict.fromkeys(CONTROLS, ""), **dict.fromkeys(SPACES, " ")})
    spaced = [text.translate(table) for text in texts]
    composed = pyarrow.compute.utf8_normalize(pa.array(spaced, pa.large_string()), "NFC").to_pylist()
    return [" ".join(part for part in text.split(" ") if part) for text in composed]


def assert_agreement(texts: list[str]) -> None:
    ours = [normalize_text(text) for text in texts]
    assert [normalizer().normalize_str(text) for text in texts] == ours
    assert by_pyarrow(texts) == ours


@functools.cache
def newer_marks() -> set[str]:
    """Combining marks that the tokenizers library does not know: it has Unicode 9, and leaves their order as it is."""
    nfc, marks = normalizers.NFC(), [c for c in map(chr, range(0x1F000)) if unicodedata.combining(c)]
    contexts = [f"a{other}{c}" for c in marks for other in "\u0315\u0301\u0345"] + [f"a{c}\u0334" for c in marks]
    wrong = [text for text in contexts if nfc.normalize_str(text) != unicodedata.normalize("NFC", text)]
    return {*"".join(wrong)} - {*"a\u0315\u0301\u0345\u0334"}


ANY = st.lists(st.characters(exclude_categories=("Cn", "Cs")), max_size=12)  # newer versions assign more
AWKWARD = st.lists(
    st.sampled_from("aeè\u0301\u0327\u0344\u1100\u1161\u11a8\u212b\u2000\x85\x00\ufeff\u093c\u0915 \x1c")
)


@given(st.lists((ANY | AWKWARD).map("".join), max_size=8))
def test_python_the_tokenizer_and_pyarrow_agree_on_any_text(texts):
    unknown = newer_marks()
    assert_agreement(["".join(c for c in text if c not in unknown) for text in texts])


@pytest.mark.parametrize("count", sampled([2_000], [200_000]))
def test_they_agree_on_heaps_of_marks(count):
    unknown = newer_marks()
    assigned = [c for c in map(chr, range(0x32000)) if unicodedata.category(c) not in ("Cn", "Cs") and c not in unknown]
    marks = [c for c in assigned if unicodedata.combining(c)]
    chosen = random.Random(0)
    assert_agreement(["".join(chosen.choice(chosen.choice([marks, assigned])) for _ in range(8)) for _ in range(count)])


def test_marks_that_are_newer_than_the_tokenizers_library_are_few():
    """Sogdian, Nyiakeng Puachue Hmong and such: their marks keep the order that the writer gave them."""
    assert len(newer_marks()) < 150
    assert not newer_marks() & {*map(chr, range(0x7FD))}


@pytest.mark.parametrize("everything", sampled([False], [True]))
def test_python_the_tokenizer_and_pyarrow_agree_on_real_texts(real_data, everything):
    assert_agreement(list(real_texts(real_data, everything)))


def test_a_trained_tokenizer_reads_text_as_it_is_typed(gathered, tmp_path):
    tokenizer = train_tokenizer(gathered, TokenizerConfig(vocab_size=300), max_length=16)
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
