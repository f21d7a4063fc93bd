import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.models import pooling, token_outputs
from support.packed import packed
from support.tiny_models import embed, tiny_embedder


def pool(tokens, mask, *modes, first=None):
    positions = jnp.maximum(jnp.cumsum(mask, axis=1) - 1, 0)
    return pooling.pool(tokens, mask[:, None], modes, positions, first)[:, 0]


TOKENS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4)), jnp.float32)
RIGHT = jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)


def test_mean_of_real_tokens():
    expected = [np.asarray(TOKENS[row, :length], np.float64).mean(0) for row, length in enumerate((5, 3, 1))]
    np.testing.assert_allclose(pool(TOKENS, RIGHT, "mean"), expected, rtol=1e-6)


def test_mean_of_no_token_is_zero():
    assert not np.any(pool(TOKENS, jnp.zeros((3, 5), bool), "mean"))


def test_bfloat16_adds_up_in_float32():
    tokens = jnp.full((1, 511, 2), 1.0078125, jnp.bfloat16)  # the sum, 515, is no bfloat16
    mean = pool(tokens, jnp.ones((1, 511), bool), "mean")
    np.testing.assert_allclose(mean, np.full((1, 2), 1.0078125), rtol=1e-6)
    assert mean.dtype == pool(tokens, jnp.ones((1, 511), bool), "cls").dtype == jnp.float32


def test_cls_is_the_first_real_token_on_either_side():
    np.testing.assert_array_equal(pool(TOKENS, RIGHT, "cls"), TOKENS[:, 0])
    np.testing.assert_array_equal(pool(TOKENS, RIGHT[:, ::-1], "cls"), TOKENS[jnp.arange(3), jnp.array([0, 2, 4])])


def test_texts_that_share_a_row():
    masks = jnp.array([[0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    mean, cls = (
        pooling.pool(TOKENS[:1], masks[None], [how], jnp.array([[0, 0, 1, 0, 1]]))[0] for how in ("mean", "cls")
    )
    np.testing.assert_allclose(mean[:2], [TOKENS[0, 1:3].mean(0), TOKENS[0, 3:].mean(0)], rtol=1e-6)
    assert not np.any(mean[2])
    np.testing.assert_array_equal(cls[:2], TOKENS[0, jnp.array([1, 3])])


MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.mark.parametrize("modes", [*([mode] for mode in MODES), MODES], ids=[*MODES, "all"])
@pytest.mark.parametrize("mask", [RIGHT, RIGHT[:, ::-1]], ids=["right", "left"])
@pytest.mark.parametrize("prompt", [0, 1])
def test_equals_sentence_transformers_in_value_and_gradient(modes, mask, prompt):
    torch = pytest.importorskip("torch")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    mask = mask[: 3 - prompt]  # the last text is one token long: nothing is left of it
    tokens = TOKENS[: 3 - prompt]
    theirs_in = torch.tensor(np.asarray(tokens), requires_grad=True)
    features = {"token_embeddings": theirs_in, "attention_mask": torch.tensor(np.asarray(mask, np.int64))}
    module = modules.Pooling(4, pooling_mode=modes, include_prompt=not prompt)
    theirs = module(features | {"prompt_length": prompt})["sentence_embedding"]
    theirs.sin().sum().backward()

    def loss(tokens):
        positions = jnp.maximum(jnp.cumsum(mask, axis=1) - 1, 0)
        pooled = pooling.pool(tokens, (mask & (positions >= prompt))[:, None], modes, positions)[:, 0]
        return jnp.sin(pooled).sum(), pooled

    (_, ours), gradient = jax.value_and_grad(loss, has_aux=True)(tokens)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, theirs_in.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_first_and_last_layer():
    first = TOKENS[::-1]
    both = pool(TOKENS, RIGHT, "first_last_mean", first=first)
    wanted = (pool(TOKENS, RIGHT, "mean") + pool(first, RIGHT, "mean")) / 2
    np.testing.assert_allclose(both, wanted, rtol=1e-6)


def test_no_token_is_finite_in_value_and_gradient():
    def loss(tokens):
        return pool(tokens, jnp.zeros((3, 5), bool), *MODES).sum()

    value, gradient = jax.value_and_grad(loss)(TOKENS)
    assert value == 0
    assert not np.any(gradient)


def test_a_prompt_that_does_not_count():
    model = tiny_embedder(pooling="mean", include_prompt=False, prompt="abc ", prompt_tokens=4)
    counted = model.with_prompt("abc ")
    assert counted.config.prompt_tokens == 4  # [CLS] a ##b ##c
    with_it = tiny_embedder(pooling="mean", prompt="abc ")
    assert np.abs(model.encode(["xy z"]) - with_it.encode(["xy z"])).max() > 1e-3


@pytest.mark.parametrize("length", [None, 24])
def test_a_text_that_ends_within_its_prompt_keeps_its_last_token(length):
    """Padded and packed; of nothing there was a zero embedding."""
    model = tiny_embedder(pooling=("max", "mean", "lasttoken"), dense=None, normalize=False, prompt_tokens=6)
    rng, lengths = np.random.default_rng(0), np.array([1, 2, 5, 6, 7, 8, 12])
    mask = (np.arange(12)[None] < lengths[:, None]).astype(np.int32)
    tokens = {"input_ids": rng.integers(5, 60, mask.shape).astype(np.int32) * mask, "attention_mask": mask}
    vectors = np.asarray(token_outputs(model.config, model.params, jax.tree.map(jnp.asarray, tokens)).last)
    rows = tokens if length is None else packed(tokens, 1, length)
    found = embed(model.config, model.params, jax.tree.map(jnp.asarray, rows))
    for text, count, ours in zip(vectors, lengths, found, strict=True):
        kept = text[min(6, count - 1) : count]
        np.testing.assert_allclose(ours, np.concatenate([kept.max(0), kept.mean(0), kept[-1]]), atol=2e-6)


def test_a_prompt_is_counted_as_far_as_it_is_read():
    for longest, counted in ((40, 12), (13, 12), (12, 11), (5, 4)):
        model = tiny_embedder(pooling="mean", include_prompt=False, max_seq_length=longest)
        assert model.with_prompt("a long prompt").config.prompt_tokens == counted  # [CLS] a l ##o ... ##t
    every = tiny_embedder(pooling="mean", include_prompt=False, max_seq_length=8).with_prompt("a long prompt")
    assert np.abs(every.encode(["x", "y z"])).max(axis=1).min() > 0.1
