"""Rows against all columns, while blocks of columns are passed from device to device: no array of scores is kept.

Blockwise softmax with an online logsumexp, forward and backward, as in Inf-CL (arXiv 2410.17243) and ring attention
(arXiv 2310.01889), for any function of rows and a block of columns.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxemb.losses.parts.in_batch import NOTHING, Combine, combine_values
from jaxemb.parallel.mesh import BATCH_AXES

NEUTRAL: dict[Combine, float] = {"add": 0.0, "logsumexp": NOTHING, "max": -jnp.inf}

Block = Callable[[Any, Any, Array, Any], dict[str, Array]]
"""`(rows, columns, own, hyper) -> values` of the rows; `own` is the column of each row in the block, or outside it."""


def ring(rows: Any, hyper: Any, block: Block, combine: Mapping[str, Combine], chunk: int) -> dict[str, Array]:
    """The values of this device's rows from the rows of all devices; call it inside `shard_map`.

    The backward pass goes round the ring again and recomputes each block; the gradient of a block of columns is passed
    on with it, until both are back on their own device. The largest arrays are `chunk` rows by the columns of one
    device.

    Args:
      rows: a tree of arrays [b, ...]; the columns are the same arrays.
      hyper: a tree of replicated numbers.
      block: gives the values of some rows from a block of columns, each [b].
      combine: how the values of two blocks are combined; "max" has no gradient.
      chunk: rows that are scored at a time.
    """
    leaves, treedef = jax.tree.flatten(rows)
    is_float = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    count = len(leaves[0])
    chunk = min(chunk, count)

    def whole(floats: list[Array], others: list[Array]) -> Any:
        of_kind = {True: iter(floats), False: iter(others)}
        return jax.tree.unflatten(treedef, [next(of_kind[kind]) for kind in is_float])

    def in_chunks(tree: Any, fill: str = "edge") -> Any:
        """[b, ...] to [n, chunk, ...], padded with the last row (a real row, so as finite as it is), or with zeros."""
        more = (0, -count % chunk)
        return jax.tree.map(
            lambda x: jnp.pad(x, [more] + [(0, 0)] * (x.ndim - 1), fill).reshape(-1, chunk, *x.shape[1:]), tree
        )

    def joined(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], tree)

    def own_columns(turn: Array) -> Array:
        """The column of each row: its own index in the first block, which is the device's own; none in later blocks."""
        return in_chunks(jnp.where(turn == 0, jnp.arange(count), -1))

    def pass_on(tree: Any) -> Any:
        devices = lax.axis_size(BATCH_AXES)
        to = [(device, (device + 1) % devices) for device in range(devices)]
        return jax.tree.map(lambda x: lax.ppermute(x, BATCH_AXES, to), tree)

    def forward(floats: list[Array], others: list[Array], hyper: Any) -> dict[str, Array]:
        own_rows = whole(floats, others)
        chunks = in_chunks(own_rows)

        def turn(number: Array, carry: tuple[Any, dict[str, Array]]) -> tuple[Any, dict[str, Array]]:
            columns, values = carry
            following = pass_on(columns)
            found = lax.map(lambda some: block(some[0], columns, some[1], hyper), (chunks, own_columns(number)))
            return following, combine_values(combine, values, joined(found))

        shapes = jax.eval_shape(lambda: block(own_rows, own_rows, jnp.arange(count), hyper))
        values = {name: varying(jnp.full(shape.shape, NEUTRAL[combine[name]])) for name, shape in shapes.items()}
        return lax.fori_loop(0, lax.axis_size(BATCH_AXES), turn, (own_rows, values))[1]

    def keep(floats: list[Array], others: list[Array], hyper: Any) -> tuple[dict[str, Array], Any]:
        values = forward(floats, others, hyper)
        return values, (floats, others, hyper, values)

    def backward(kept: Any, gradients: dict[str, Array]) -> tuple[Any, None, Any]:
        floats, others, hyper, values = kept
        chunks = (*in_chunks((floats, others, values)), in_chunks(gradients, "constant"))

        def one_chunk(
            columns: tuple[list[Array], list[Array]], carry: tuple[Any, Any], some: Any
        ) -> tuple[tuple[Any, Any], Any]:
            (row_floats, row_others, totals, gradients), own = some

            def of(row_floats: Any, column_floats: Any, hyper: Any) -> dict[str, Array]:
                return block(whole(row_floats, row_others), whole(column_floats, columns[1]), own, hyper)

            found, pull_back = jax.vjp(of, row_floats, columns[0], hyper)
            shares = {
                name: jnp.zeros_like(value)
                if combine[name] == "max"
                else _share(gradients[name], value, totals[name])
                if combine[name] == "logsumexp"
                else gradients[name]
                for name, value in found.items()
            }
            to_rows, to_columns, to_hyper = pull_back(shares)
            return jax.tree.map(jnp.add, carry, (to_columns, to_hyper)), to_rows

        def turn(number: Array, carry: Any) -> Any:
            columns, to_columns, to_hyper, to_rows = carry
            (to_columns, to_hyper), more = lax.scan(
                partial(one_chunk, columns), (to_columns, to_hyper), (chunks, own_columns(number))
            )
            to_rows = jax.tree.map(jnp.add, to_rows, joined(more))
            return *pass_on((columns, to_columns)), to_hyper, to_rows

        nothing = partial(jax.tree.map, lambda x: varying(jnp.zeros(x.shape, x.dtype)))
        start = ((floats, others), nothing(floats), nothing(hyper), nothing(floats))
        _, to_columns, to_hyper, to_rows = lax.fori_loop(0, lax.axis_size(BATCH_AXES), turn, start)
        return jax.tree.map(jnp.add, to_rows, to_columns), None, to_hyper

    values_of = jax.custom_vjp(forward)
    values_of.defvjp(keep, backward)
    # The gradients of the numbers are summed over devices once, outside the loop.
    floats = [leaf for leaf, wanted in zip(leaves, is_float, strict=True) if wanted]
    others = [leaf for leaf, wanted in zip(leaves, is_float, strict=True) if not wanted]
    return values_of(floats, others, jax.tree.map(varying, hyper))


def _share(gradient: Array, value: Array, total: Array) -> Array:
    """The gradient of a block's logsumexp; 0 where the total has gradient 0, whatever the two values (0 * inf)."""
    return jnp.where(gradient == 0, 0.0, gradient * jnp.exp(value - total))


def varying(x: Array) -> Array:
    """Marks a value that is the same on all devices of a mesh as one that may vary."""
    return lax.pcast(x, BATCH_AXES, to="varying")
