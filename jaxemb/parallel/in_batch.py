"""Any in-batch loss over the mesh, exact in value and gradient: with the negatives of one device, or of all.

Differentiate these functions from outside, as in `jax.grad(lambda p: loss_of(p, ...))`. The sums over devices are
outside the `shard_map`, whose replication check is on, so that the gradient is that of the global batch. A gradient
taken inside a `shard_map` is not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import NoneType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.losses.parts.duplicates import same_hash
from jaxemb.losses.parts.finite import keep
from jaxemb.losses.parts.in_batch import InBatch, combine_values
from jaxemb.parallel.mesh import BATCH_AXES
from jaxemb.parallel.ring import ring

Negatives = Literal["local", "gather", "ring"]
NEGATIVES: tuple[Negatives, ...] = ("local", "gather", "ring")


class Rows(NamedTuple):
    """What devices exchange: the rows of a batch, and the data that decides which rows they are compared with."""

    batch: tuple[Any, ...]
    weight: Float[Array, "b"]
    ids: tuple[UInt32[Array, "b 2"], ...]


@dataclass(frozen=True, eq=False)
class Across:
    """Makes an in-batch loss compare rows across the devices of a mesh: `loss(..., across=Across(mesh))`.

    Raises: ValueError for an unknown choice.

    >>> from jaxemb import losses
    >>> from jaxemb.parallel import make_mesh
    >>> x = jnp.eye(2)
    >>> across = Across(make_mesh(devices=jax.devices()[:1]), "ring")
    >>> losses.multiple_negatives_ranking(x, x, scale=2.0, across=across).round(6).tolist()  # log(1 + exp(-2))
    [0.12692800164222717, 0.12692800164222717]
    """

    mesh: Mesh
    """From `make_mesh`; its number of devices must divide the number of rows."""
    negatives: Negatives = "gather"
    """"gather": compares each row with all rows of the global batch, gathered on every device; "local": with the rows
    on the same device; "ring": with all rows, which are passed from device to device."""
    ids: Sequence[UInt32[Array, "B 2"]] = ()
    """Hashes in two words; rows of the global batch that share one are not compared with each other."""
    weights: Float[Array, "B"] | None = None
    """All 1 when None. A row of weight 0 (padding) is compared with no other and adds nothing to a batch's loss,
    whatever its values: they are replaced by zeros."""
    chunk: int = 1024
    """"ring": rows that are scored at a time against the rows of one device."""

    def __post_init__(self) -> None:
        if self.negatives not in NEGATIVES:
            raise ValueError(f"negatives: {self.negatives!r} is not one of {', '.join(NEGATIVES)}")

    def weights_of(self, count: int) -> Float[Array, "B"]:
        """The weight of each of `count` rows."""
        return jnp.ones(count, jnp.float32) if self.weights is None else jnp.asarray(self.weights, jnp.float32)

    def values(self, loss: InBatch, batch: tuple[Any, ...], hyper: Mapping[str, Any]) -> Any:
        """The values of `loss.rows` for each row of the global batch: the same tree, [B] sharded over the mesh.

        Args:
          loss: an in-batch loss.
          batch: its arrays, [B, ...] each, sharded or not; None for missing ones.
          hyper: keyword arguments of the loss; numbers and arrays may be traced and have gradients.

        Raises:
          ValueError: if the devices do not divide the rows, or a loss that needs all columns at once gets a ring.
        """
        return self.values_and_hidden(loss, batch, hyper)[0]

    def values_and_hidden(
        self, loss: InBatch, batch: tuple[Any, ...], hyper: Mapping[str, Any]
    ) -> tuple[Any, Float[Array, "B"]]:
        """`values`, and for each row the number of rows that it ignores as duplicates."""
        devices = math.prod(self.mesh.shape[axis] for axis in BATCH_AXES)
        count = len(jax.tree.leaves(batch)[0])
        if count % devices:
            raise ValueError(f"{count} rows are not divisible by {devices} devices: pad them with rows of weight 0")
        if self.negatives == "ring" and loss.combine is None:
            raise ValueError(
                "negatives: 'ring' is for losses that are sums over columns (the softmax family, SigLIP, uniformity); "
                "this one needs all columns at once: use 'gather'"
            )
        choices = {name: value for name, value in hyper.items() if isinstance(value, (str, bool, tuple, NoneType))}
        numbers = {name: jnp.asarray(value, jnp.float32) for name, value in hyper.items() if name not in choices}
        over_mesh = _over_mesh(loss, self.mesh, self.negatives, self.chunk, tuple(sorted(choices.items())))
        return over_mesh(Rows(tuple(batch), self.weights_of(count), tuple(self.ids)), numbers)


@cache
def _over_mesh(
    loss: InBatch, mesh: Mesh, negatives: Negatives, chunk: int, choices: tuple[tuple[str, Any], ...]
) -> Callable[..., tuple[Any, Array]]:
    """The function of the sharded rows; cached and jitted, so that a call outside jit compiles once."""
    over_mesh = jax.shard_map(
        partial(_on_shard, loss=loss, negatives=negatives, chunk=chunk, choices=dict(choices)),
        mesh=mesh,
        in_specs=(PartitionSpec(BATCH_AXES), PartitionSpec()),
        out_specs=PartitionSpec(BATCH_AXES),
        check_vma=True,
    )
    return jax.jit(over_mesh)


def _on_shard(
    rows: Rows, hyper: dict[str, Array], *, loss: InBatch, negatives: Negatives, chunk: int, choices: dict[str, Any]
) -> tuple[Any, Array]:
    """The work of one device: its own rows against each other, or against the rows of all devices."""
    rows = rows._replace(batch=_live(rows.batch, rows.weight))

    def block(rows: Rows, columns: Rows, own: Int[Array, "b"], hyper: dict[str, Array]) -> tuple[Any, Array]:
        allowed, hidden = _masks(rows, columns, own)
        return loss.rows(rows.batch, columns.batch, own, allowed, **hyper, **choices), hidden

    def named_block(*arguments: Any) -> dict[str, Array]:
        values, hidden = block(*arguments)
        return {**values, "hidden": hidden}

    if negatives == "ring":
        values: Any = ring(rows, hyper, named_block, {**(loss.combine or {}), "hidden": "add"}, chunk)
        hidden = values.pop("hidden")
    else:
        columns, own = rows, jnp.arange(len(rows.weight))
        if negatives == "gather":
            columns = jax.tree.map(lambda x: lax.all_gather(x, BATCH_AXES, tiled=True), rows)
            own += lax.axis_index(BATCH_AXES) * len(own)
        values, hidden = block(rows, columns, own, hyper)
    if loss.alone is not None and loss.combine is not None:
        values = combine_values(loss.combine, loss.alone(rows.batch, **hyper, **choices), values)
    return values, hidden


def _live(batch: tuple[Any, ...], weight: Float[Array, "b"]) -> tuple[Any, ...]:
    """The arrays of a batch with zeros in the rows of weight 0, so that NaN in them does not spread."""

    def one(x: Array) -> Array:
        return keep(x, weight > 0) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(one, batch)


def _masks(rows: Rows, columns: Rows, own: Int[Array, "b"]) -> tuple[Bool[Array, "b M"], Float[Array, "b"]]:
    """The columns that each row is compared with, and the number of columns of positive weight that it ignores as
    duplicates.
    """
    is_own = jnp.arange(len(columns.weight))[None, :] == own[:, None]
    live = (columns.weight > 0)[None, :] | is_own
    same = jnp.zeros_like(live)
    for mine, theirs in zip(rows.ids, columns.ids, strict=True):
        same |= same_hash(mine, theirs)
    same &= live & ~is_own
    return live & ~same, jnp.sum(same, axis=1, dtype=jnp.float32)
