"""Wrappers that train the first dimensions of an embedding, or the lower layers of an encoder, to work on their own."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxemb.losses.parts.finite import keep
from jaxemb.losses.parts.in_batch import weighted_mean
from jaxemb.losses.parts.similarity import normalize

Loss = Callable[..., Array]
EMBEDDINGS = {
    "additive_margin_softmax": 2, "alignment": 2, "angle": 2, "batch_all_triplet": 1,
    "batch_hard_soft_margin_triplet": 1, "batch_hard_triplet": 1, "batch_semi_hard_triplet": 1, "contrastive": 2,
    "contrastive_tension": 2, "contrastive_tension_in_batch": 2, "cosent": 2, "cosine_similarity_mse": 2,
    "distill_kl": 0, "embedding_distillation": 2, "embedding_mse": 2, "gist": 3, "global_orthogonal": 1, "info_nce": 2,
    "margin_mse": 3, "masked_lm": 0, "mega_batch_margin": 2, "multilingual_distillation": 3,
    "multiple_negatives_ranking": 3, "online_contrastive": 2, "siglip": 2, "softmax_classification": 2, "triplet": 3,
    "uniformity": 1,
}  # fmt: skip
"""For each loss of this package, the number of leading arguments that are embeddings."""


def _embeddings_of(loss: Loss) -> tuple[int | None, tuple[str, ...]]:
    """The number of arguments that are embeddings (None for a loss of another package), and the arguments' names."""
    bound, inner = 0, loss
    while isinstance(inner, functools.partial):
        bound, inner = bound + len(inner.args), inner.func
    try:
        names = tuple(inspect.signature(inner).parameters)[bound:]
    except (TypeError, ValueError):  # a function written in C
        names = ()
    inner = inspect.unwrap(inner)
    is_ours = getattr(inner, "__module__", "").startswith("jaxemb.losses.")
    count = EMBEDDINGS.get(getattr(inner, "__name__", "")) if is_ours else None
    return None if count is None else count - bound, names


def truncated(x: Float[Array, "... D"], dim: int) -> Float[Array, "... d"]:
    """The first `dim` dimensions of each vector, normalised to length 1, float32."""
    return normalize(x[..., :dim].reshape(-1, dim)).reshape(*x.shape[:-1], dim)


def matryoshka(
    loss: Loss, *, dims: Sequence[int], weights: Sequence[float] | None = None, embeddings: int | None = None
) -> Loss:
    """Wraps a loss so that it trains embeddings truncated to several widths.

        total = sum_k w_k loss(x[:, :d_k] / |x[:, :d_k]|, ...)

    Source: Matryoshka Representation Learning (arXiv 2205.13147), eq. 1. Equals sentence-transformers'
    `MatryoshkaLoss(loss, matryoshka_dims=dims, matryoshka_weights=weights)`.

    Args:
      loss: a loss with embeddings as positional arguments. A per-row loss stays per row, a batch scalar a scalar.
      dims: widths to truncate to, usually including the full one.
      weights: w, one for each width; all 1 when None.
      embeddings: number of the loss's leading arguments that are embeddings, which are truncated. It is known for the
        losses of this package. For any other loss, None truncates all positional float arrays with two or more axes
        that are as wide as the first one; give the number if scores or probabilities may be that wide, too.

    Returns: a function of the same arguments. Other arguments stay as they are: labels, scores, kernels, a guide's
      embeddings, `across`.
    Raises: ValueError if there are no widths, the number of weights is wrong, or the loss takes no embeddings
      (`distill_kl`, `masked_lm`); when called, if a width is more than the embeddings have.

    >>> from jaxemb.losses import info_nce
    >>> x = jnp.eye(4)
    >>> loss = matryoshka(info_nce, dims=(4, 2), weights=(1.0, 0.5))(x, x, scale=1.0)
    >>> [round(float(x), 4) for x in loss]  # the two last rows are zero once cut: log(e + 3) - 1 + log(4) / 2
    [1.1155, 1.1155, 1.4368, 1.4368]
    """
    scales = tuple(weights) if weights is not None else (1.0,) * len(dims)
    if not dims or len(scales) != len(dims) or min(dims) < 1:
        raise ValueError(f"dims: {tuple(dims)} must be positive and have one weight each, not {scales}")

    known, names = _embeddings_of(loss)
    count = known if embeddings is None else embeddings
    if count is not None and count < 1:
        raise ValueError(f"{getattr(loss, '__name__', loss)} takes {count} embeddings: one or more are needed")

    def is_embedding(x: Any, index: int, width: int) -> bool:
        if count is not None:
            return x is not None and index < count
        return getattr(x, "ndim", 0) >= 2 and x.shape[-1] == width and jnp.issubdtype(x.dtype, jnp.floating)

    @functools.wraps(loss)
    def wrapped(*arrays: Any, **options: Any) -> Array:
        named = [name for name in names[: count or 0] if options.get(name) is not None]
        width = (arrays[0] if arrays else options[names[0]]).shape[-1]
        if max(dims) > width:
            raise ValueError(f"dims: {max(dims)} is more than the embeddings' width {width}")

        def of(dim: int) -> Array:
            given = [truncated(x, dim) if is_embedding(x, index, width) else x for index, x in enumerate(arrays)]
            return loss(*given, **{**options, **{name: truncated(options[name], dim) for name in named}})

        return functools.reduce(jnp.add, [weight * of(dim) for dim, weight in zip(dims, scales, strict=True)])

    return wrapped


def _text_weights(
    rows: Float[Array, "B"], x: Float[Array, "B ... D"], has_hard_negative: Bool[Array, "B K"] | None
) -> Float[Array, "_"]:
    """The weight of each text in an array of embeddings, one or several per row: its row's weight, or 0 if absent."""
    each = jnp.repeat(rows, math.prod(x.shape[1:-1]))
    if has_hard_negative is None or x.shape[:-1] != has_hard_negative.shape:
        return each
    return keep(each, has_hard_negative.reshape(-1))


def adaptive_layers(
    loss: Loss,
    *,
    last_layer_weight: float = 1.0,
    prior_layers_weight: float = 1.0,
    kl_weight: float = 1.0,
    kl_temperature: float = 0.3,
    layer_weighting: Literal["uniform", "log", "linear"] = "uniform",
) -> Loss:
    """Wraps a loss so that it trains the embeddings of several layers; around `matryoshka`, it is 2D Matryoshka.

        total = w_last loss(x^L) + 1/n sum_{l in layers} w_prior w_l loss(x^l)
                + sum_l w_kl T KL(softmax(x^L / T) || softmax(x^l / T)), the mean over all embedded texts
        w_l   = 1 ("uniform"), 1 / (1 + ln(1 + l)) ("log"), 1 / (1 + l) ("linear")

    In the KL term, the last layer is the teacher of the others and gets no gradient; rows of weight 0 and missing hard
    negatives (`has_hard_negative`) are left out of it. Source: 2DMSE (arXiv 2402.14776), section 3. For the layers that
    a step draws, it equals sentence-transformers' `AdaptiveLayerLoss`, and with `matryoshka` its `Matryoshka2dLoss`.

    Args:
      loss: a batch scalar, or a per-row loss, whose mean is taken (with the weights of `across`).
      last_layer_weight: w_last.
      prior_layers_weight: w_prior.
      kl_weight: w_kl; 0 for no KL term.
      kl_temperature: T.
      layer_weighting: how w_l decreases with the layer.

    Returns: a function `(last, prior, *others, **options)` to a scalar. `last` is the tuple of embeddings of the last
      layer, passed to `loss` as positional arguments before `others`; `prior` has the same for other layers, by the
      number of the layer, 0 being the embedding layer.
    Raises: ValueError for an unknown weighting.

    >>> from jaxemb.losses import info_nce
    >>> x = jnp.eye(2)
    >>> total = adaptive_layers(info_nce, kl_weight=0.0)
    >>> round(float(total((x, x), {3: (x, x)}, scale=2.0)), 6)  # log(1 + exp(-2)) twice
    0.253856
    """
    weightings: dict[str, Callable[[int], float]] = {
        "uniform": lambda layer: 1.0,
        "log": lambda layer: 1.0 / (1.0 + float(jnp.log1p(jnp.float32(layer)))),
        "linear": lambda layer: 1.0 / (1.0 + layer),
    }
    if layer_weighting not in weightings:
        raise ValueError(f"layer_weighting: {layer_weighting!r} is not one of {', '.join(weightings)}")

    @functools.wraps(loss)
    def wrapped(last: tuple[Array, ...], prior: dict[int, tuple[Array, ...]], *others: Any, **options: Any) -> Array:
        across = options.get("across")
        rows = jnp.ones(len(last[0]), jnp.float32) if across is None else across.weights_of(len(last[0]))
        text_weights = jnp.concatenate([_text_weights(rows, x, options.get("has_hard_negative")) for x in last])

        def of(arrays: tuple[Array, ...]) -> Array:
            found = loss(*arrays, *others, **options)
            return weighted_mean(found, rows) if found.ndim else found

        def flat(arrays: tuple[Array, ...]) -> Array:
            texts = jnp.concatenate([jnp.asarray(x, jnp.float32).reshape(-1, x.shape[-1]) for x in arrays])
            return keep(texts, text_weights > 0)

        total = last_layer_weight * of(last)
        teacher = jax.nn.log_softmax(jax.lax.stop_gradient(flat(last)) / kl_temperature, axis=-1)
        for layer, arrays in prior.items():
            weight = prior_layers_weight * weightings[layer_weighting](layer) / len(prior)
            total += weight * of(arrays)
            if kl_weight:
                student = jax.nn.log_softmax(flat(arrays) / kl_temperature, axis=-1)
                divergence = jnp.sum(jnp.exp(teacher) * (teacher - student), axis=-1)
                total += kl_weight * kl_temperature * weighted_mean(divergence, text_weights)
        return total

    return wrapped
