"""Embeds texts, packed into rows of a few compiled shapes, on one device or a mesh."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Int

from jaxemb.config import ModelConfig
from jaxemb.config.kinds import PROGRAM_KINDS, keep_kinds
from jaxemb.encoding.apart import layers_apart
from jaxemb.encoding.model import Model
from jaxemb.errors import UsageError
from jaxemb.fast_tokenizer import token_ids
from jaxemb.models import Params, apply, encoded_size
from jaxemb.packing import Row, lay_out, one_row, pack, row_lengths, texts_per_row
from jaxemb.progress import progress_bar
from jaxemb.texts import Texts, as_texts, each_text

BLOCK = 16_384  # texts that are tokenised and packed together
IN_FLIGHT = 4  # batches that the device may be ahead of the host


@partial(jax.jit, static_argnames=("config", "replicated"))
def embed_batch(
    config: ModelConfig,
    params: Params,
    input_ids: Int[Array, "R S"],
    segment_ids: Int[Array, "R S"],
    slots: Int[Array, "G N"],
    replicated: NamedSharding | None = None,
) -> Float[Array, "B E"]:
    """`models.apply` of packed texts, cut at `config.truncate_dim`; compiled once per architecture and shape."""
    rows = apply(config, params, {"input_ids": input_ids, "segment_ids": segment_ids, "slots": slots})
    rows = rows[:, : config.truncate_dim]
    return rows if replicated is None else jax.lax.with_sharding_constraint(rows, replicated)


def encode(
    embedder: Model,
    texts: Texts,
    *,
    batch_size: int = 64,
    show_progress: bool = False,
    params: Params | None = None,
) -> Float32[np.ndarray, "N E"]:
    """Embeds texts, with the model's prompt before each, cut at the model's `max_seq_length`.

    Texts are packed, several a row, into rows of `row_lengths`, so that hardly any padding is computed. A batch has
    `batch_size` rows of 64 tokens, or fewer longer ones, or an eighth of that for what is left over: two shapes are
    compiled for each length of rows that occurs, by whichever caller comes first. Texts that fit one row of 16 to 512
    tokens are a batch by themselves (a query takes no longer than it must): at most six shapes more.

    Several threads may call this at once, with one embedder or several.

    Args:
      embedder: architecture, parameters and tokenizer.
      texts: strings in an order: a list, a tuple, an array of one dimension, a column of a table. An iterator is read
        to its end first, as memory must hold all embeddings anyway (`encode_stream` gives them block by block). No
        texts give an array of shape [0, E].
      batch_size: rows of 64 tokens a batch; rounded up to a multiple of the devices of a mesh.
      show_progress: shows a bar on stderr.
      params: taken instead of `embedder.params`. Parameters that lie on a mesh, replicated or sharded, make the batch
        be split over all axes of it; with several processes each must call with the same texts, and each gets all rows.

    Returns: one embedding a row, in the order of `texts`, on the host; the first `config.truncate_dim` dimensions, if
      that is set.
    Raises: NotTexts, a TypeError, if `texts` is one string, a dict or a set, say, or holds something else than strings;
      UsageError if `batch_size` is not positive.
    """
    texts = as_texts(texts)
    out = np.empty((len(texts), encoded_size(embedder.config)), np.float32)
    start = 0
    with progress_bar("Encoding", len(texts), show_progress) as advance:
        for rows in embed_blocks(embedder, texts, batch_size=batch_size, params=params, advance=advance):
            out[start : start + len(rows)] = rows
            start += len(rows)
    return out


def encode_stream(
    embedder: Model,
    texts: Texts,
    *,
    batch_size: int = 64,
    block_size: int = BLOCK,
    params: Params | None = None,
) -> Iterator[Float32[np.ndarray, "n E"]]:
    """Embeds texts as they come: `encode` in blocks, with memory for two blocks only.

    Args:
      embedder: as for `encode`.
      texts: as for `encode`, and read as they are needed; an iterator may be endless.
      batch_size: as for `encode`.
      block_size: texts that are packed together; each array that is yielded has as many rows, the last one
        fewer.
      params: as for `encode`.

    Raises: as `encode`; for what is no string when its turn comes.
    """
    return embed_blocks(embedder, each_text(texts), batch_size=batch_size, block_size=block_size, params=params)


@dataclass
class _Block:
    """Embeddings of consecutive texts, some of which may still be on the device."""

    rows: np.ndarray
    missing: int


def embed_blocks(
    embedder: Model,
    texts: Iterable[str],
    *,
    batch_size: int,
    block_size: int = BLOCK,
    params: Params | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Float32[np.ndarray, "n E"]]:
    """`encode_stream` that also calls `advance` with the number of texts of each batch that is done."""
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}: it must be 1 or more")
    batches = _Batches(embedder, embedder.params if params is None else params, batch_size)
    width = encoded_size(embedder.config)
    iterator = iter(texts)
    blocks: deque[_Block] = deque()
    flying: deque[tuple[_Block, list[int], list[int], jax.Array]] = deque()

    def land(wanted: Callable[[], bool]) -> Iterator[np.ndarray]:
        """Fetches batches while it is wanted, and gives the blocks that are whole."""
        while wanted():
            block, places, slots, rows = flying.popleft()
            block.rows[places] = jax.device_get(rows)[slots]
            block.missing -= len(places)
            advance(len(places))
            if not blocks[0].missing:
                yield blocks.popleft().rows

    # Dispatch is asynchronous: while the host tokenises a block, the device works on the end of the one before.
    while chunk := list(islice(iterator, block_size)):
        blocks.append(_Block(np.empty((len(chunk), width), np.float32), len(chunk)))
        for places, slots, rows in batches.embed(_tokenize(embedder, chunk)):
            flying.append((blocks[-1], places, slots, rows))
            yield from land(lambda: len(flying) > IN_FLIGHT)
        yield from land(lambda: len(blocks) > 1)
    yield from land(lambda: bool(flying))


def _tokenize(embedder: Model, texts: list[str]) -> list[list[int]]:
    prompt = embedder.config.prompt
    prompted = [prompt + text for text in texts] if prompt else texts
    return token_ids(embedder.tokenizer, prompted, embedder.config.longest_input)


def _mesh_sharding(params: Params) -> NamedSharding | None:
    """How a batch is split beside these parameters; None where they lie on no mesh."""
    for leaf in jax.tree.leaves(params):
        if isinstance(leaf, jax.Array) and isinstance(leaf.sharding, NamedSharding):
            mesh = leaf.sharding.mesh
            return NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    return None


def _on_device(params: Params) -> Params:
    """The same if all of it lies there; putting again what does takes longer than looking."""
    there = all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
    return params if there else jax.device_put(params)


class _Batches:
    """Packs tokens into batches and sends them off."""

    def __init__(self, embedder: Model, params: Params, batch_size: int) -> None:
        # Models that differ in nothing that a program depends on share their programs.
        self._config = keep_kinds(embedder.config, PROGRAM_KINDS)
        self._row_lengths = row_lengths(embedder.config.longest_input)
        self._sharding = _mesh_sharding(params)
        self._replicated = None if self._sharding is None else NamedSharding(self._sharding.mesh, PartitionSpec())
        self._devices = 1 if self._sharding is None else self._sharding.mesh.size
        self._params = params if self._sharding is not None else _on_device(layers_apart(embedder.config, params))
        self._batch_size = batch_size

    def embed(self, tokens: list[list[int]]) -> Iterator[tuple[list[int], list[int], jax.Array]]:
        """For each batch the positions of its texts, and the rows of the array to come that are theirs."""
        alone = one_row([len(text) for text in tokens], self._row_lengths[-1])
        if alone is not None:
            yield self._embed([alone], self._devices, alone.length, tokens)
            return
        # Longest rows first: memory runs out at once or never.
        packed = pack([len(text) for text in tokens], self._row_lengths)
        for length, group in groupby(packed, key=lambda row: row.length):
            rows = list(group)
            full = self._rounded(self._batch_size * self._row_lengths[0] / length)
            rest = self._rounded(full / 8)
            start = 0
            while start < len(rows):
                count = full if len(rows) - start > full - rest else rest
                yield self._embed(rows[start : start + count], count, length, tokens)
                start += count

    def _rounded(self, rows: float) -> int:
        """Rows of a batch: at least one a device, and the same for each."""
        return math.ceil(rows / self._devices) * self._devices

    def _embed(
        self, rows: list[Row], count: int, length: int, tokens: list[list[int]]
    ) -> tuple[list[int], list[int], jax.Array]:
        input_ids, segment_ids, slots = lay_out(rows, count, length, tokens, self._config.encoder.pad_token_id)
        slots_a_device = count // self._devices * texts_per_row(length)
        every_slot = np.tile(np.arange(slots_a_device, dtype=np.int32), (self._devices, 1))
        sent = [self._put(array) for array in (input_ids, segment_ids, every_slot)]
        embeddings = embed_batch(self._config, self._params, *sent, replicated=self._replicated)
        return list(slots), list(slots.values()), embeddings

    def _put(self, array: np.ndarray) -> jax.Array:
        if self._sharding is None:
            return jax.device_put(array)
        # Each process sends what its own devices hold.
        parts = self._sharding.addressable_devices_indices_map(array.shape).items()
        shards = [jax.device_put(array[index], device) for device, index in parts]
        return jax.make_array_from_single_device_arrays(array.shape, self._sharding, shards)
