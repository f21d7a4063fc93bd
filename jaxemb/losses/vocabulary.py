"""Masked language modelling over a large vocabulary, one chunk of it at a time."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxemb.losses.parts.finite import keep

Residuals = tuple[Array, Array, Array, Array, Array]


def masked_lm(
    vectors: Float[Array, "N H"],
    labels: Int[Array, "N"],
    embedding: Float[Array, "V H"],
    bias: Float[Array, "V"] | None,
    *,
    weights: Float[Array, "N"] | None = None,
    chunk: int = 8192,
    dtype: Any = jnp.float32,
) -> Float[Array, "N"]:
    """Cross-entropy of each masked position's token among the whole vocabulary, without an [N, V] array.

        loss_i = w_i * (logsumexp_v(h_i . e_v + b_v) - (h_i . e_{y_i} + b_{y_i}))

    Source: BERT (arXiv 1810.04805), section 3.1, task 1; the logsumexp is that of Milakov and Gimelshein 2018 (arXiv
    1805.02867), algorithm 3, and the backward pass recomputes each chunk's logits. Equals
    `torch.nn.functional.cross_entropy(vectors @ embedding.T + bias, labels, reduction="none")`; sentence-transformers
    has no class for it. The gradient of the embedding is accumulated in one float32 [V, H] array. Forward-mode and
    second derivatives are not supported.

    Args:
      vectors: the outputs of the head's transform at the masked positions; see `gather_positions`.
      labels: the original token, 0 to V-1; a negative label (-100 by convention) has loss and gradient 0.
      embedding: the token embeddings, tied to those of the encoder's input or not.
      bias: one number per token, or None.
      weights: w, a factor for each position; 1 when None. Weight 0 leaves a position out, whatever its values.
      chunk: most tokens of the vocabulary that are scored at a time, in [N, chunk] logits.
      dtype: the type that vectors, embeddings and the gradients of logits are rounded to before they are multiplied;
        sums, the softmax and gradients are float32. With a large vocabulary these products take most of a step: float32
        products use the highest precision, for which accelerators have no matrix units.

    Returns: the loss of each position in nats, float32; NaN for a label beyond the vocabulary. Divide their sum by the
      number of positions (or the sum of weights) of the whole batch.
    Raises: ValueError if the shapes do not fit or `chunk` is below 1.

    >>> vectors, embedding = jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([[2.0, 0.0], [0.0, 0.0], [0.0, 5.0]])
    >>> loss = masked_lm(vectors, jnp.array([0, 1]), embedding, None)  # log(e^2 + 2) - 2, log 3
    >>> [round(float(x), 5) for x in loss]
    [0.23954, 1.09861]
    """
    vocabulary, width = embedding.shape
    bias = jnp.zeros(vocabulary) if bias is None else bias
    if vectors.shape != (len(labels), width) or bias.shape != (vocabulary,):
        raise ValueError(
            f"vectors of shape {vectors.shape} with {len(labels)} labels, embeddings of shape {embedding.shape} and "
            f"biases of shape {bias.shape}: give [N, H], [N], [V, H] and [V]"
        )
    if chunk < 1:
        raise ValueError(f"chunk: {chunk} is below 1")
    labels = labels if weights is None else jnp.where(weights != 0, labels, -1)
    log_total, own = log_sums(labelled(vectors, labels), labels, embedding, bias, chunk=chunk, dtype=dtype)
    losses = losses_of(log_total, own, labels, vocabulary)
    return losses if weights is None else jnp.asarray(weights, jnp.float32) * losses


def labelled(vectors: Float[Array, "N H"], labels: Int[Array, "N"]) -> Float[Array, "N H"]:
    """The vectors, with zeros at positions without a label, where NaN would reach the gradient of the embedding."""
    return keep(vectors, labels >= 0)


def losses_of(
    log_total: Float[Array, "N"], own: Float[Array, "N"], labels: Int[Array, "N"], vocabulary: int
) -> Float[Array, "N"]:
    """The cross-entropy of each position, from its `log_sums` over the whole vocabulary: 0 without a label, NaN for a
    label beyond the vocabulary.
    """
    losses = jnp.where(labels >= 0, log_total - own, 0.0)
    return jnp.where(labels < vocabulary, losses, jnp.nan)


def gather_positions(hidden: Float[Array, "B S H"], positions: Int[Array, "B P"]) -> Float[Array, "B*P H"]:
    """The vectors at some positions of each text, one per row, for `masked_lm`.

    Args:
      hidden: one vector per token.
      positions: 0 to S-1. If a text has fewer than P masked tokens, the rest may be any position, with label -100.

    Returns: the vectors, text by text, of the type of `hidden`.

    >>> hidden = jnp.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    >>> gather_positions(hidden, jnp.array([[2, 0], [1, 1]]))[:, 0].tolist()
    [3.0, 1.0, 5.0, 5.0]
    """
    return jnp.take_along_axis(hidden, positions[:, :, None], axis=1).reshape(-1, hidden.shape[2])


def _vary_alike(*arrays: Array) -> tuple[Array, ...]:
    """Inside `shard_map`: makes all arrays vary over every mesh axis that any of them varies over.

    A scan can then carry their sums. The gradients of replicated arrays (the embedding) are summed over these axes
    here, once, not in the scan.
    """
    axes = frozenset().union(*(jax.typeof(x).manual_axis_type.varying for x in arrays))
    missing = [tuple(sorted(axes - jax.typeof(x).manual_axis_type.varying)) for x in arrays]
    return tuple(jax.lax.pcast(x, m, to="varying") if m else x for x, m in zip(arrays, missing, strict=True))


def _zeros(shape: tuple[int, ...], like: Array) -> Array:
    return _vary_alike(jnp.zeros(shape), like)[0]


def _product(a: Array, b: Array, dtype: Any) -> Array:
    a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
    return jnp.matmul(a, b, precision="highest", preferred_element_type=jnp.float32)


def _chunk_of(
    chunk: int, dtype: Any, start: Array, vectors: Array, embedding: Array, bias: Array
) -> tuple[Array, Array, Array, Array]:
    """A chunk's first row, embeddings, logits and columns (-1 for columns that belong to the chunk before).

    The last chunk starts early enough to be full, because padding the vocabulary would copy the embedding.
    """
    first = jnp.minimum(start, len(embedding) - chunk)
    rows = jax.lax.dynamic_slice_in_dim(embedding, first, chunk)
    logits = _product(vectors, rows.T, dtype) + jax.lax.dynamic_slice_in_dim(bias, first, chunk)[None, :]
    columns = first + jnp.arange(chunk)
    new = columns >= start
    return first, rows, jnp.where(new[None, :], logits, -jnp.inf), jnp.where(new, columns, -1)


def _level(x: Array) -> Array:
    """The value to subtract from logits: 0 where all are -inf (a bias can be), because -inf minus -inf is NaN."""
    return jnp.where(x == -jnp.inf, 0.0, x)


def _is_label(labels: Array, columns: Array) -> Array:
    return (labels[:, None] == columns[None, :]) & (labels >= 0)[:, None]


def log_sums(
    vectors: Float[Array, "N H"],
    labels: Int[Array, "N"],
    embedding: Float[Array, "V H"],
    bias: Float[Array, "V"],
    *,
    chunk: int,
    dtype: Any,
) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    """The logsumexp of each row's logits over a vocabulary, or a part of one, and the logit of its label.

    The label's logit is 0 for a negative label. The other arguments are those of `masked_lm`.
    """
    chunks = -(-len(embedding) // chunk)
    even = -(-len(embedding) // chunks)  # chunks of one size
    vectors, bias = jnp.asarray(vectors, jnp.float32), jnp.asarray(bias, jnp.float32)
    return _log_sums(even, jnp.dtype(dtype), *_vary_alike(vectors, labels, embedding, bias))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _log_sums(
    chunk: int, dtype: Any, vectors: Array, labels: Array, embedding: Array, bias: Array
) -> tuple[Array, Array]:
    return _forward(chunk, dtype, vectors, labels, embedding, bias)[0]


def _forward(
    chunk: int, dtype: Any, vectors: Array, labels: Array, embedding: Array, bias: Array
) -> tuple[tuple[Array, Array], Residuals]:
    def step(carry: tuple[Array, Array, Array], start: Array) -> tuple[tuple[Array, Array, Array], None]:
        largest, total, own = carry
        _, _, logits, columns = _chunk_of(chunk, dtype, start, vectors, embedding, bias)
        larger = jnp.maximum(largest, jnp.max(logits, axis=1))
        level = _level(larger)
        total = total * jnp.exp(largest - level) + jnp.sum(jnp.exp(logits - level[:, None]), axis=1)
        own = own + jnp.sum(jnp.where(_is_label(labels, columns), logits, 0.0), axis=1)
        return (larger, total, own), None

    zeros = _zeros(labels.shape, vectors)
    starts = jnp.arange(0, len(embedding), chunk)
    (largest, total, own), _ = jax.lax.scan(step, (zeros - jnp.inf, zeros, zeros), starts)
    log_total = largest + jnp.log(total)
    return (log_total, own), (vectors, labels, embedding, bias, log_total)


def _backward(
    chunk: int, dtype: Any, residuals: Residuals, cotangents: tuple[Array, Array]
) -> tuple[Array, None, Array, Array]:
    vectors, labels, embedding, bias, log_total = residuals
    level = _level(log_total)[:, None]
    by_total, by_own = (cotangent[:, None] for cotangent in cotangents)

    def step(carry: tuple[Array, Array, Array], start: Array) -> tuple[tuple[Array, Array, Array], None]:
        by_vectors, by_embedding, by_bias = carry
        first, rows, logits, columns = _chunk_of(chunk, dtype, start, vectors, embedding, bias)
        probabilities = jnp.exp(logits - level)
        by_logits = by_total * probabilities + by_own * jnp.asarray(_is_label(labels, columns), jnp.float32)
        by_vectors = by_vectors + _product(by_logits, rows, dtype)
        by_rows = _product(by_logits.T, vectors, dtype)
        by_rows = jax.lax.dynamic_slice_in_dim(by_embedding, first, chunk) + by_rows
        by_embedding = jax.lax.dynamic_update_slice_in_dim(by_embedding, by_rows, first, axis=0)
        by_some = jax.lax.dynamic_slice_in_dim(by_bias, first, chunk) + jnp.sum(by_logits, axis=0)
        return (by_vectors, by_embedding, jax.lax.dynamic_update_slice_in_dim(by_bias, by_some, first, axis=0)), None

    zeros = _zeros(vectors.shape, vectors), _zeros(embedding.shape, vectors), _zeros(bias.shape, vectors)
    starts = jnp.arange(0, len(embedding), chunk)
    (by_vectors, by_embedding, by_bias), _ = jax.lax.scan(step, zeros, starts)
    return by_vectors, None, jnp.asarray(by_embedding, embedding.dtype), by_bias


_log_sums.defvjp(_forward, _backward)
