"""Which tokens are masked, and by what."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transformers import BertTokenizerFast

from jaxemb.config import MaskingConfig
from jaxemb.errors import UsageError
from jaxemb.objectives.masking import CONTINUES, TokenKinds, mask_tokens, most_predictions, token_kinds
from jaxemb.packing import texts_per_row
from support.masking import FIRST, KINDS, LENGTH, MASK, ROWS, V, masked_places, texts
from support.packed import packed
from support.tiers import sampled
from support.tiny_models import tiny_embedder


@pytest.mark.parametrize(("share", "most"), sampled([(0.2, 80), (0.5, 6)], [(0.15, 80), (0.01, 80)]))
def test_as_many_as_asked_for_and_no_special_token(share, most):
    tokens, config = texts(rows=64), MaskingConfig(share=share, max_predictions=most)
    masked = mask_tokens(tokens, jax.random.key(0), KINDS, config)
    ids, replaced = np.asarray(tokens["input_ids"]), np.asarray(masked.input_ids)
    assert masked.positions.shape[1] <= most
    for row, places in enumerate(masked_places(tokens, masked)):
        real = int(tokens["attention_mask"][row].sum()) - 2
        assert len(places) == len(set(places)) == max(1, min(most, int(round(share * 10_000) * real // 10_000)))
        assert all(1 <= place <= real for place in places)
        unchanged = np.delete(np.arange(LENGTH), places)
        np.testing.assert_array_equal(replaced[row, unchanged], ids[row, unchanged])
        for place, label in zip(masked.positions[row].tolist(), masked.labels[row].tolist(), strict=True):
            assert label in (-100, ids[row, place])


def test_eighty_ten_ten():
    tokens = texts(rows=4000)
    masked = mask_tokens(tokens, jax.random.key(1), KINDS, MaskingConfig())
    live = np.asarray(masked.labels) >= 0
    now = np.take_along_axis(np.asarray(masked.input_ids), np.asarray(masked.positions), axis=1)[live]
    was = np.asarray(masked.labels)[live]
    count = len(was)
    assert count > 5000
    assert np.mean(now == MASK) == pytest.approx(0.8, abs=4 * (0.16 / count) ** 0.5)
    assert np.mean(now == was) == pytest.approx(0.1, abs=4 * (0.09 / count) ** 0.5 + 0.1 / V)
    random = now[(now != MASK) & (now != was)]
    assert (random >= FIRST).all()
    assert len(set(random.tolist())) > 0.8 * (V - FIRST)  # any word may come
    assert len(set(was.tolist())) > 0.9 * (V - FIRST)
    places = np.asarray(masked.positions)[live] / np.asarray(tokens["attention_mask"]).sum(1)[np.nonzero(live)[0]]
    assert places.mean() == pytest.approx(0.5, abs=0.03)  # anywhere in a text


def test_masks_are_a_pure_function_of_key_example_and_place():
    tokens, key, config = texts(), jax.random.key(2), MaskingConfig()
    masked = mask_tokens(tokens, key, KINDS, config)

    def by_text(tokens, masked):
        """The masked ids of each text, wherever it lies."""
        ids = np.asarray(masked.input_ids)
        if "slots" not in tokens:
            masks = np.asarray(tokens["attention_mask"])
            return [row[mask == 1].tolist() for row, mask in zip(ids, masks, strict=True)]
        groups, segments = tokens["slots"], np.asarray(tokens["segment_ids"])
        size, per_row = len(ids) // len(groups), texts_per_row(segments.shape[1])
        found = []
        for group, slots in enumerate(np.asarray(groups)):
            for row, number in zip(group * size + slots // per_row, 1 + slots % per_row, strict=True):
                found.append(ids[row][segments[row] == number].tolist())
        return found

    expected = by_text(tokens, masked)
    order = np.random.default_rng(0).permutation(ROWS)
    shuffled = {name: values[order] for name, values in tokens.items()}
    again = by_text(shuffled, mask_tokens(shuffled, key, KINDS, config))
    assert again == [expected[place] for place in order]
    for devices, length in ((1, 48), (4, 40)):
        rows = jax.tree.map(jnp.asarray, packed(tokens, devices, length))
        assert by_text(rows, mask_tokens(rows, key, KINDS, config)) == expected
    assert by_text(tokens, mask_tokens(tokens, jax.random.key(3), KINDS, config)) != expected  # another step
    other = tokens | {"ids": tokens["ids"] + 1}
    assert by_text(tokens, mask_tokens(other, key, KINDS, config)) != expected


@pytest.mark.parametrize(
    ("share", "longest"), sampled([(0.05, 3), (0.6, 6), (0.2, 12)], [(0.2, 3), (0.3, 6), (0.6, 3), (0.05, 12)])
)
def test_rows_of_many_short_texts_have_room_for_all_predictions(share, longest):
    tokens, config = texts(rows=40, longest=longest), MaskingConfig(share=share)
    rows = jax.tree.map(jnp.asarray, packed(tokens, 1, 24))
    masked = mask_tokens(rows, jax.random.key(0), KINDS, config)
    real = np.asarray(tokens["attention_mask"]).sum(1) - 2
    wanted = np.maximum(1, round(share * 10_000) * real // 10_000).sum()
    assert (np.asarray(masked.labels) >= 0).sum() == wanted
    assert (np.asarray(masked.input_ids) != np.asarray(rows["input_ids"])).sum() <= wanted
    assert masked.labels.shape[1] == most_predictions(config, 24, 2, texts_per_row(24))
    assert wanted <= most_predictions(config, rows["input_ids"].size, 2, len(real))


def test_whole_words():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "##c", "d"]
    tokenizer = BertTokenizerFast(vocab={piece: number for number, piece in enumerate(pieces)})
    kinds = token_kinds(tokenizer)
    assert kinds.kinds.tolist() == [0, 0, 0, 0, 0, 1, CONTINUES, CONTINUES, 1]
    words, rng = ["abc", "ab", "d", "a"], np.random.default_rng(0)
    lines = [" ".join(rng.choice(words, rng.integers(4, 12))) for _ in range(200)]
    encoded = tokenizer(lines, padding=True, return_tensors="np")
    tokens = {name: jnp.asarray(encoded[name], jnp.int32) for name in ("input_ids", "attention_mask")}
    tokens["ids"] = jnp.arange(200, dtype=jnp.uint32)
    masked = mask_tokens(tokens, jax.random.key(0), kinds, MaskingConfig(share=0.4, whole_word=True))
    seen, ids = 0, np.asarray(tokens["input_ids"])
    for row, places in enumerate(masked_places(tokens, masked)):
        real = int(tokens["attention_mask"][row].sum()) - 2
        assert len(places) <= 0.4 * real
        begins = [place for place in range(1, real + 2) if ids[row, place] not in (6, 7)]
        for begin, end in itertools.pairwise(begins):
            inside = [place in places for place in range(begin, end)]
            assert len(set(inside)) == 1, "a word is hidden whole or not at all"
            seen += inside[0]
    assert seen > 300


def test_kinds_of_other_tokenizers():
    from tokenizers import Tokenizer
    from tokenizers import models as backends
    from transformers import PreTrainedTokenizerFast

    special = {"mask_token": "<mask>", "unk_token": "<unk>"}
    vocabulary = [("<unk>", 0.0), ("<mask>", 0.0), ("\u2581ab", -1.0), ("c", -2.0)]
    unigram = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(backends.Unigram(vocabulary, 0)), **special)
    assert token_kinds(unigram).kinds.tolist() == [0, 0, 1, CONTINUES]
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(backends.Unigram(vocabulary, 0)), unk_token="<unk>")
    with pytest.raises(UsageError, match="the tokenizer has no mask token"):
        token_kinds(bare)


def test_kinds_are_of_the_embedder_s_tokenizer():
    kinds = token_kinds(tiny_embedder().tokenizer)
    assert isinstance(kinds, TokenKinds)
    assert kinds.special == 2
    assert kinds.mask_id == MASK
    assert (kinds.kinds == 0).sum() == FIRST
