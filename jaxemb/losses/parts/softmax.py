"""The softmax cross-entropy over cosines, shared by the contrastive losses on one device and on a mesh."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.finite import nan_unless


def margin_softmax(
    cosines: Float[Array, "B M"],
    positives: Int[Array, "B"],
    *,
    scale: float | Float[Array, ""],
    margin: float | Float[Array, ""] = 0.0,
    excluded: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B"]:
    """Cross-entropy of each row's positive column among all columns that count.

        loss_i = logsumexp_j(s * (cos_ij - m * [j = pos_i])) - s * (cos_{i,pos_i} - m)

    It is computed as the logsumexp of the logits *minus the positive's logit*. The positive's own term is then exactly
    0, so a row always has one finite logit, and without negatives its loss and gradient are exactly 0. Cosines that do
    not count are set to 0 before anything multiplies them, so that NaN among them reaches no gradient.

    Args:
      cosines: similarities, float32.
      positives: the column of each row's positive, 0 to M-1; any other number gives NaN.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, subtracted from the positive before scaling.
      excluded: True where a column is not a negative of the row; the positive always counts.

    Returns: the loss of each row, float32; NaN, with gradient 0, where the positive's cosine is.
    """
    is_positive = jnp.arange(cosines.shape[1])[None, :] == positives[:, None]
    # A masked sum, because the gradient of an indexed read would be a scatter.
    positive = jnp.sum(jnp.where(is_positive, cosines, 0.0), axis=1, keepdims=True)
    finite = jnp.isfinite(positive) & jnp.any(is_positive, axis=1, keepdims=True)
    negative = ~is_positive & finite
    if excluded is not None:
        negative &= ~excluded
    logits = scale * (jnp.where(negative, cosines, 0.0) - (jnp.where(finite, positive, 0.0) - margin))
    logits = jnp.where(is_positive, 0.0, jnp.where(negative, logits, -jnp.inf))
    return nan_unless(finite[:, 0], jax.nn.logsumexp(logits, axis=1))
