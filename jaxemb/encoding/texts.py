"""Embeds texts in a fixed set of compiled shapes, however many there are, on one device or a mesh."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Float32, Int

from jaxemb.config import ModelConfig
from jaxemb.encoding.progress import progress_bar
from jaxemb.errors import UsageError
from jaxemb.models import Embedder, Params, apply, embedding_size

SHORTEST_BUCKET = 8
BLOCK = 16_384  # texts that are tokenised and sorted by length together
IN_FLIGHT = 4  # batches that the device may be ahead of the host


def length_buckets(longest: int) -> tuple[int, ...]:
    """Lengths in tokens that are compiled: powers of two from 8, and `longest`.

    >>> length_buckets(100)
    (8, 16, 32, 64, 100)
    """
    powers = (SHORTEST_BUCKET << step for step in range(longest.bit_length()))
    return (*(length for length in powers if length < longest), longest)


@partial(jax.jit, static_argnames=("config", "replicated"))
def embed_batch(
    config: ModelConfig,
    params: Params,
    input_ids: Int[Array, "B S"],
    lengths: Int[Array, " B"],
    replicated: NamedSharding | None = None,
) -> Float[Array, "B E"]:
    """`models.apply` of a batch that is padded on the right; compiled once per architecture and shape."""
    mask = jnp.arange(input_ids.shape[1])[None] < lengths[:, None]
    rows = apply(config, params, {"input_ids": input_ids, "attention_mask": mask})
    return rows if replicated is None else jax.lax.with_sharding_constraint(rows, replicated)


def encode(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
    show_progress: bool = False,
    params: Params | None = None,
) -> Float32[np.ndarray, "N E"]:
    """Embeds texts, with the model's prompt before each, cut at the model's `max_seq_length`.

    Texts are sorted by length and padded to one of `length_buckets`; a batch always has `batch_size` rows. So at most
    some eight shapes are compiled in a process, by whichever caller comes first.

    Args:
      embedder: architecture, parameters and tokenizer.
      texts: any number of texts; none give an array of shape [0, E].
      batch_size: texts a batch; rounded up to a multiple of the devices of a mesh.
      show_progress: shows a bar on stderr.
      params: taken instead of `embedder.params`. Parameters that lie on a mesh, replicated or sharded, make the batch
        be split over all axes of it; with several processes each must call with the same texts, and each gets all rows.

    Returns: one embedding a row, in the order of `texts`, on the host.
    Raises: TypeError if `texts` is a single string; UsageError if `batch_size` is not positive.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a list of strings, not one string: encode([text])")
    out = np.empty((len(texts), embedding_size(embedder.config)), np.float32)
    start = 0
    with progress_bar("Encoding", len(texts), show_progress) as advance:
        for rows in embed_blocks(embedder, texts, batch_size=batch_size, params=params, advance=advance):
            out[start : start + len(rows)] = rows
            start += len(rows)
    return out


def encode_stream(
    embedder: Embedder,
    texts: Iterable[str],
    *,
    batch_size: int = 64,
    block_size: int = BLOCK,
    params: Params | None = None,
) -> Iterator[Float32[np.ndarray, "n E"]]:
    """Embeds texts as they come: `encode` in blocks, with memory for two blocks only.

    Args:
      embedder: as for `encode`.
      texts: any iterable, also an endless one.
      batch_size: as for `encode`.
      block_size: texts that are sorted by length together; each array that is yielded has as many rows, the last one
        fewer.
      params: as for `encode`.
    """
    return embed_blocks(embedder, texts, batch_size=batch_size, block_size=block_size, params=params)


@dataclass
class _Block:
    """Embeddings of consecutive texts, some of which may still be on the device."""

    rows: np.ndarray
    missing: int


def embed_blocks(
    embedder: Embedder,
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
    run = _runner(embedder, embedder.params if params is None else params, batch_size)
    width = embedding_size(embedder.config)
    iterator = iter(texts)
    blocks: deque[_Block] = deque()
    flying: deque[tuple[_Block, np.ndarray, jax.Array]] = deque()

    def land() -> None:
        block, places, rows = flying.popleft()
        block.rows[places] = jax.device_get(rows)[: len(places)]
        block.missing -= len(places)
        advance(len(places))

    # Dispatch is asynchronous: while the host tokenises a block, the device works on the end of the one before.
    while chunk := list(islice(iterator, block_size)):
        tokens = _tokenize(embedder, chunk)
        order = np.argsort(
            [-len(row) for row in tokens], kind="stable"
        )  # longest first: memory runs out at once or never
        blocks.append(_Block(np.empty((len(chunk), width), np.float32), len(chunk)))
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            flying.append((blocks[-1], places, run([tokens[place] for place in places])))
            while len(flying) > IN_FLIGHT:
                land()
            while not blocks[0].missing:
                yield blocks.popleft().rows
    while flying:
        land()
    yield from (block.rows for block in blocks)


def _tokenize(embedder: Embedder, texts: list[str]) -> list[list[int]]:
    prompt = embedder.config.prompt
    encoded = embedder.tokenizer(
        [prompt + text for text in texts] if prompt else texts,
        truncation=True,
        max_length=_longest(embedder.config),
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return encoded["input_ids"]


def _longest(config: ModelConfig) -> int:
    return config.max_seq_length or config.encoder.max_position_embeddings


def _mesh_sharding(params: Params) -> NamedSharding | None:
    """How a batch is split beside these parameters; None where they lie on no mesh."""
    for leaf in jax.tree.leaves(params):
        if isinstance(leaf, jax.Array) and isinstance(leaf.sharding, NamedSharding):
            mesh = leaf.sharding.mesh
            return NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    return None


def _runner(embedder: Embedder, params: Params, batch_size: int) -> Callable[[list[list[int]]], jax.Array]:
    """A function that pads a batch of token ids, sends it off and returns the rows to come."""
    # Settings that do not change embeddings are set aside, so that all models of one architecture share their programs.
    apart = {"init_from": None, "new_head": False, "max_seq_length": None, "prompt": "", "remat": "none"}
    config = embedder.config.model_copy(update=apart)
    buckets = length_buckets(_longest(embedder.config))
    sharding = _mesh_sharding(params)
    replicated = None if sharding is None else NamedSharding(sharding.mesh, PartitionSpec())
    devices = 1 if sharding is None else sharding.mesh.size
    rows = -(-batch_size // devices) * devices
    params = jax.device_put(params) if sharding is None else params

    def put(array: np.ndarray) -> jax.Array:
        if sharding is None:
            return jax.device_put(array)
        # Each process sends what its own devices hold.
        parts = sharding.addressable_devices_indices_map(array.shape).items()
        shards = [jax.device_put(array[index], device) for device, index in parts]
        return jax.make_array_from_single_device_arrays(array.shape, sharding, shards)

    def run(tokens: list[list[int]]) -> jax.Array:
        longest = max(map(len, tokens))
        width = next(length for length in buckets if length >= longest)
        ids = np.full((rows, width), config.encoder.pad_token_id, np.int32)
        lengths = np.zeros(rows, np.int32)
        for row, sequence in enumerate(tokens):
            ids[row, : len(sequence)] = sequence
            lengths[row] = len(sequence)
        return embed_batch(config, params, put(ids), put(lengths), replicated=replicated)

    return run
