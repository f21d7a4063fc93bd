"""Whole words are hidden as BERT's `create_masked_lm_predictions` chooses them, simulated here in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import MaskingConfig
from jaxemb.models.dropout import draw, dropout_hashes
from jaxemb.objectives.masking import _ORDER, BEGINS, CONTINUES, SPECIAL, TokenKinds, mask_tokens
from jaxemb.objectives.whole_words import predictions
from jaxemb.parallel import batch_sharding, make_mesh
from support.packed import packed

MASK, CLS, SEP, WORD, PIECE = 1, 2, 3, 4, 5
KINDS = TokenKinds(MASK, np.array([SPECIAL] * 4 + [BEGINS, CONTINUES], np.uint8), 2)


def texts(sizes_of):
    """Sequences of words of so many pieces, between special tokens, padded."""
    rows = [[CLS, *(piece for size in sizes for piece in [WORD] + [PIECE] * (size - 1)), SEP] for sizes in sizes_of]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, text in zip(ids, rows, strict=True):
        row[: len(text)] = text
    tokens = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int32)}
    return {name: jnp.asarray(x) for name, x in tokens.items()} | {"ids": jnp.arange(len(rows), dtype=jnp.uint32)}


def random_sizes(rng, texts, tokens, pieces):
    """Words of `pieces` pieces on average, `tokens` in each text."""
    begins = rng.random((texts, tokens)) < 1 / pieces
    begins[:, 0] = True
    return [np.diff(np.append(np.flatnonzero(row), tokens)) for row in begins]


def chosen_by_bert(sizes, order, quota):
    """Numbers of the words that are hidden: each that fits, until the quota is reached."""
    chosen, hidden = [], 0
    for word in order:
        if hidden >= quota:
            break
        if hidden + sizes[word] > quota:
            continue
        chosen.append(int(word))
        hidden += sizes[word]
    return sorted(chosen)


def hidden_words(sizes_of, masked):
    """Numbers of the words that our masks hide, in texts of a row each; each whole or not at all."""
    found = []
    for sizes, places, labels in zip(sizes_of, np.asarray(masked.positions), np.asarray(masked.labels), strict=True):
        word_of = np.repeat(np.arange(len(sizes)), sizes)
        hidden = word_of[places[labels >= 0] - 1]
        words, counts = np.unique(hidden, return_counts=True)
        np.testing.assert_array_equal(counts, np.asarray(sizes)[words])
        found.append(words.tolist())
    return found


@pytest.mark.parametrize("share", [0.15, 0.4])  # a quota of 1 mostly, and of up to 9
def test_each_word_that_fits_is_taken_in_the_random_order(share):
    rng, key = np.random.default_rng(0), jax.random.key(3)
    sizes_of = [sizes for length in (1, 5, 12, 30) for sizes in random_sizes(rng, 40, length, 2.5)]
    sizes_of += [[7, 1], [1, 7], [2, 2, 2], [30], [1] * 30]
    tokens, config = texts(sizes_of), MaskingConfig(share=share, max_predictions=9, whole_word=True)
    masked = jax.jit(lambda tokens: mask_tokens(tokens, key, KINDS, config))(tokens)
    numbers = np.asarray(
        draw(dropout_hashes(key, tokens["ids"])[:, None], _ORDER, jnp.arange(40, dtype=jnp.uint32)[None])
    )
    wanted = []
    for sizes, row in zip(sizes_of, numbers, strict=True):
        firsts = 1 + np.cumsum([0, *sizes[:-1]])
        quota = min(9, max(1, round(share * 10_000) * sum(sizes) // 10_000))
        wanted.append(chosen_by_bert(sizes, np.argsort(row[firsts]), quota))
    assert hidden_words(sizes_of, masked) == wanted

    rows = jax.tree.map(jnp.asarray, packed(tokens, 1, 40))  # several texts a row, each with a quota of its own
    again = jax.jit(lambda rows: mask_tokens(rows, key, KINDS, config))(rows)
    assert (np.asarray(again.labels) >= 0).sum() == (np.asarray(masked.labels) >= 0).sum()
    for slot, text, length in zip(
        np.asarray(rows["slots"]).ravel(), np.asarray(masked.input_ids), np.asarray(tokens["attention_mask"]).sum(1),
        strict=True,
    ):  # fmt: skip
        row, number = divmod(int(slot), 10)
        there = np.asarray(again.input_ids)[row][np.asarray(rows["segment_ids"])[row] == number + 1]
        np.testing.assert_array_equal(there, text[:length])


@pytest.mark.parametrize(
    ("share", "tokens", "pieces", "quota", "least"),
    [(0.15, 9, 2, 1, 0.91), (0.15, 12, 2, 1, 0.94), (0.2, 34, 3, 6, 5.9)],
)
def test_as_many_predictions_as_bert_makes(share, tokens, pieces, quota, least):
    """With a random order of its own. A word that does not fit ended the choice once: 0.50 in place of 0.92, 4.19 in
    place of 5.91.
    """
    rng, count = np.random.default_rng(1), 4000
    sizes_of = random_sizes(rng, count, tokens, pieces)
    config = MaskingConfig(share=share, whole_word=True)
    masked = jax.jit(lambda tokens: mask_tokens(tokens, jax.random.key(0), KINDS, config))(texts(sizes_of))
    found = (np.asarray(masked.labels) >= 0).sum(1)
    wanted = np.array(
        [sum(sizes[w] for w in chosen_by_bert(sizes, rng.permutation(len(sizes)), quota)) for sizes in sizes_of]
    )
    deviation = (wanted.var() / count + found.var() / count) ** 0.5
    assert wanted.mean() > least
    assert found.mean() == pytest.approx(wanted.mean(), abs=4 * deviation)
    for number in range(quota + 1):
        share_of = (wanted == number).mean()
        assert (found == number).mean() == pytest.approx(share_of, abs=5 * (share_of / count) ** 0.5 + 1e-3)


def test_predictions_of_a_long_text_fit_32_bits():
    lengths = [0, 1, 9_999, 10_000, 10_001, 214_749, 2**31 - 1]
    for share in (0.15, 0.9999):
        wanted = [max(1, round(share * 10_000) * length // 10_000) for length in lengths]
        assert predictions(jnp.array(lengths, jnp.int32), share, 2**31 - 1).tolist() == wanted


def test_masks_are_made_where_the_texts_lie():
    """On eight devices as on one."""
    tokens = texts(random_sizes(np.random.default_rng(2), 16, 20, 2))
    config, mesh = MaskingConfig(share=0.3, whole_word=True), make_mesh(4, 2)

    @jax.jit
    def run(tokens, scale):
        def loss(scale):  # masks are made inside of what is differentiated
            masked = mask_tokens(tokens, jax.random.key(4), KINDS, config)
            return scale * jnp.sum(masked.labels >= 0), masked

        return jax.value_and_grad(loss, has_aux=True)(scale)

    (_, wanted), count = run(tokens, 1.0)
    placed = jax.device_put(tokens, batch_sharding(mesh))
    (_, found), again = run(placed, 1.0)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert again == count > 60
