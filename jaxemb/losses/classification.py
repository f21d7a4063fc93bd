"""Softmax classification of sentence pairs, from features of their two embeddings."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxemb.config.objective import Feature
from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.paired import absolute

_FEATURES: dict[str, Callable[[Array, Array], Array]] = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "|u-v|": lambda u, v: absolute(u - v),
    "u*v": lambda u, v: u * v,
}


def _check_features(features: Sequence[Feature]) -> None:
    if not features or not set(features) <= set(_FEATURES):
        raise ValueError(f"features: {tuple(features)!r} needs one or more of {', '.join(map(repr, _FEATURES))}")


def classifier_width(width: int, features: Sequence[Feature] = ("u", "v", "|u-v|")) -> int:
    """The number of inputs of a classifier over features of two embeddings of the given width.

    Raises: ValueError if there are no features or one is unknown.

    >>> classifier_width(384, ("u", "v", "|u-v|"))
    1152
    """
    _check_features(features)
    return width * len(features)


def pair_features(
    u: Float[Array, "B D"], v: Float[Array, "B D"], features: Sequence[Feature] = ("u", "v", "|u-v|")
) -> Float[Array, "B F"]:
    """The features of each pair side by side, in the order given.

    Args:
      u: one embedding per row.
      v: the other text of each pair.
      features: one or more of "u", "v", and, elementwise, "|u-v|" and "u*v".

    Returns: `classifier_width(D, features)` numbers per row, float32.
    Raises: ValueError if the shapes differ, there are no features or one is unknown.

    >>> pair_features(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, -1.0]]), ("|u-v|", "u", "u*v")).tolist()
    [[2.0, 3.0, 1.0, 2.0, 3.0, -2.0]]
    """
    _check_features(features)
    check_pairs(u, v)
    u, v = jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32)
    return jnp.concatenate([_FEATURES[feature](u, v) for feature in features], axis=-1)


def classifier_outputs(
    u: Float[Array, "B D"],
    v: Float[Array, "B D"],
    kernel: Float[Array, "F C"],
    bias: Float[Array, "C"] | None,
    features: Sequence[Feature],
) -> Float[Array, "B C"]:
    """The logits of each class: [u_i, v_i, |u_i - v_i|] W + b, or other features; see `softmax_classification`."""
    _check_features(features)
    check_pairs(u, v)
    finite, (u, v) = finite_rows(u, v)
    inputs = pair_features(u, v, features)
    if kernel.shape[0] != inputs.shape[1]:
        raise ValueError(
            f"{', '.join(features)} of width {u.shape[1]} need a kernel of {inputs.shape[1]} rows, not {len(kernel)}"
        )
    classes = kernel.shape[1]
    if bias is not None and bias.shape != (classes,):
        raise ValueError(f"{classes} classes need a bias of shape ({classes},), not {bias.shape}")
    outputs = jnp.matmul(inputs, jnp.asarray(kernel, jnp.float32), precision="highest")
    outputs = outputs if bias is None else outputs + jnp.asarray(bias, jnp.float32)[None, :]
    return nan_unless(finite[:, None], outputs)


def softmax_classification(
    u: Float[Array, "B D"],
    v: Float[Array, "B D"],
    labels: Int[Array, "B"] | Float[Array, "B C"],
    kernel: Float[Array, "F C"],
    bias: Float[Array, "C"] | None = None,
    *,
    features: Sequence[Feature] = ("u", "v", "|u-v|"),
) -> Float[Array, "B"]:
    """Cross-entropy of a linear classifier over features of the two embeddings.

        o_i    = [u_i, v_i, |u_i - v_i|] W + b, or other features
        loss_i = logsumexp_c(o_ic) - o_{i,y_i}, or sum_c p_ic (logsumexp_k(o_ik) - o_ic) for labels p

    Source: Sentence-BERT (arXiv 1908.10084), section 3, "Classification Objective Function", which has no bias. Its
    mean equals sentence-transformers' `SoftmaxLoss` with `kernel` the transpose of its `classifier.weight`; there the
    order is always u, v, |u-v|, u*v, with "u" and "v" together or not at all (`concatenation_sent_rep`,
    `concatenation_sent_difference`, `concatenation_sent_multiplication`).

    Args:
      u: one embedding per row (the premise), as it is: not normalised.
      v: the other text of each pair (the hypothesis).
      labels: the class of each pair, 0 to C-1 (any other number gives the loss NaN), or the probability of each class.
      kernel: W, of `classifier_width(D, features)` rows and a column per class.
      bias: b, added to the outputs.
      features: the classifier's inputs, in this order; see `pair_features`.

    Returns: the loss of each row in nats, float32; NaN, with gradient 0, for a class that does not exist.
    Raises: ValueError if the shapes do not fit or a feature is unknown.

    >>> u, v, kernel = jnp.array([[1.0]]), jnp.array([[3.0]]), jnp.array([[0.0, 1.0], [0.0, 1.0], [0.0, -2.0]])
    >>> loss = softmax_classification(u, v, jnp.array([0]), kernel, jnp.array([0.0, 1.0]))  # outputs 0, 1 + 3 - 4 + 1
    >>> round(float(loss[0]), 6)  # log(1 + e)
    1.313262
    """
    outputs = classifier_outputs(u, v, kernel, bias, features)
    classes = outputs.shape[1]
    if labels.shape not in ((len(u),), (len(u), classes)):
        raise ValueError(
            f"{len(u)} pairs need `labels` of shape ({len(u)},) or ({len(u)}, {classes}), not {labels.shape}"
        )
    if labels.ndim == 1:
        # A product, because the gradient of an indexed read would be a scatter.
        own = jnp.arange(classes)[None, :] == labels[:, None]
        labels = nan_unless(jnp.any(own, axis=1, keepdims=True), jnp.asarray(own, jnp.float32))
    finite, (shares,) = finite_rows(labels)
    # The output of a missing class may be -inf.
    log_probabilities = jnp.where(shares != 0, jax.nn.log_softmax(outputs, axis=-1), 0.0)
    return nan_unless(finite, -jnp.sum(shares * log_probabilities, axis=-1))
