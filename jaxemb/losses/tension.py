"""Contrastive Tension: two encoders learn to agree on the same text and to disagree on different texts."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.additive_margin import additive_margin_softmax
from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.in_batch import Across


def contrastive_tension(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    labels: Float[Array, "B"] | Int[Array, "B"] | Bool[Array, "B"],
) -> Float[Array, "B"]:
    """Logistic loss of the dot product of each pair: are both sides the same text?

        loss_i = log(1 + exp(a_i . b_i)) - y_i * (a_i . b_i)

    Source: Carlsson et al. 2021 (ICLR, openreview Ov_sMNau-PF). Its *sum* over rows equals
    sentence-transformers' `ContrastiveTensionLoss`, which derives the labels by comparing token ids. The paper's
    batches have one pair of the same text for every seven pairs of different texts.

    Args:
      a: one embedding per row by the first encoder, not normalised.
      b: one embedding per row by the second encoder, which starts as a copy of the first; not normalised.
      labels: y, 1 (or True) where both sides are the same text, otherwise 0.

    Returns: the loss of each row in nats, float32, NaN for a label outside 0 to 1; the paper sums over rows.
    Raises: ValueError if the shapes differ.

    >>> a, b = jnp.array([[1.0, 2.0], [1.0, 2.0]]), jnp.array([[1.0, 0.5], [1.0, 0.5]])  # dot products of 2
    >>> [round(float(x), 6) for x in contrastive_tension(a, b, jnp.array([1, 0]))]
    [0.126928, 2.126928]
    """
    check_pairs(a, b, labels=labels)
    finite, (a, b, label) = finite_rows(a, b, labels)
    logits = jnp.sum(a * b, axis=1)
    return nan_unless(finite & (label >= 0.0) & (label <= 1.0), jax.nn.softplus(logits) - label * logits)


def contrastive_tension_in_batch(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    *,
    scale: float | Float[Array, ""] = 20.0,
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Contrastive Tension with the other rows of the batch as the different texts, in both directions.

        loss_i = (logsumexp_j(s * cos(a_i, b_j)) + logsumexp_j(s * cos(b_i, a_j))) / 2 - s * cos(a_i, b_i)

    The formula is that of `additive_margin_softmax` without a margin, but `a` and `b` embed the same texts with two
    encoders.

    Source: sentence-transformers' `ContrastiveTensionLossInBatchNegatives`, which equals its mean; there is no paper.
    That class learns the logarithm of the scale, from log 20: pass `scale=jnp.exp(log_scale)`.

    Args:
      a: one embedding per row by the first encoder, any norm.
      b: the same texts by the second encoder, any norm.
      scale: s, the inverse temperature (1/T).
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row in nats, float32.
    Raises: ValueError if the shapes differ.

    >>> a = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> [round(float(x), 6) for x in contrastive_tension_in_batch(a, a, scale=2.0)]  # log(1 + e^-2)
    [0.126928, 0.126928]
    """
    check_pairs(a, b)
    return additive_margin_softmax(a, b, scale=scale, margin=0.0, across=across)
