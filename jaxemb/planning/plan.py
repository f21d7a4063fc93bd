"""Compiles the training step of a config for devices that are not here, and counts the resources it needs."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxemb.config import MAIN, DistillationObjective, MlmObjective, Objective, TrainConfig
from jaxemb.data import Batches, Order, Part
from jaxemb.data.order.layout import one_group
from jaxemb.models import embedding_size
from jaxemb.objectives.flops import SPECIAL_TOKENS, model_flops
from jaxemb.objectives.masking import BEGINS, TokenKinds
from jaxemb.parallel import batch_sharding, make_mesh
from jaxemb.parallel.chips import CHIPS, GIB, Chip
from jaxemb.planning.topology import slice_of
from jaxemb.planning.traffic import Collective, collectives
from jaxemb.training.step.program import Program


@dataclass(frozen=True)
class Plan:
    """The resources that a training step needs on each device."""

    device: str
    devices: int
    slices: int
    """Number of TPU slices, or GPU nodes."""
    mesh: dict[str, int]
    fits: bool
    message: str
    """The compiler's message if the step does not fit."""
    params: int
    """Bytes of the parameters."""
    optimizer: int
    """Bytes of the optimizer's state."""
    temporary: int
    """Bytes of gradients, activations and the loss."""
    peak: int
    """Peak memory in bytes; 0 if the compiler did not get that far."""
    memory: float
    """Bytes available to a run: on a GPU, the share that JAX uses."""
    batch_size: int
    tokens: int
    """Number of tokens of a batch, padding included."""
    model_flops: float
    """Floating-point operations of a step on all devices, without recomputation."""
    again_flops: float
    """Floating-point operations that `model.remat` recomputes."""
    collectives: tuple[Collective, ...]
    chip: Chip | None
    objective: str = MAIN
    """Name of the objective whose step this is."""

    @property
    def sent(self) -> int:
        """Bytes that a device sends to others of its slice per step."""
        return sum(one.sent for one in self.collectives)

    @property
    def crossing(self) -> int:
        """Bytes that a device sends to other slices per step."""
        return sum(one.crossing for one in self.collectives)

    @property
    def seconds(self) -> dict[str, float]:
        """Times of a step at peak rates, separately: `arithmetic`, `memory`, `network` and `between slices`."""
        if self.chip is None:
            return {}
        # Read and written once each: parameters, the optimizer's state, and what the step keeps for the backward pass.
        moved = 2 * (self.params + self.optimizer + self.temporary)
        return {
            "arithmetic": (self.model_flops + self.again_flops) / self.devices / self.chip.flops,
            "memory": moved / self.chip.memory_bandwidth,
            "network": self.sent / self.chip.network,
            **({"between slices": self.crossing / self.chip.between} if self.slices > 1 else {}),
        }


class _FullTexts:
    """Stands in for the data: one batch of examples, whose texts all have the same length."""

    def __init__(self, config: TrainConfig, objective: Objective, tokens: int) -> None:
        needs = objective.needs
        sides: tuple[str, ...] = ("anchor", "positive", *(["negative"] if "negatives" in needs else []))
        self.sides = ("text",) if isinstance(objective, MlmObjective) else sides
        self._count, self._tokens = config.training.batch_size, tokens
        self.lengths = np.full((self._count, len(self.sides)), tokens, np.uint16)
        self._columns: dict[str, np.ndarray] = {}
        if "label" in needs:
            self._columns["label"] = np.zeros(self._count, np.int32)
        if "score" in needs:
            self._columns["score"] = np.zeros(self._count, np.float32)
        if isinstance(objective, DistillationObjective):
            self._columns["teacher"] = np.zeros((self._count, embedding_size(config.model)), np.float32)

    def __len__(self) -> int:
        return self._count

    def read(self, rows: np.ndarray, step: int = 0) -> tuple[list[list[np.ndarray]], dict[str, np.ndarray]]:
        """Arbitrary token ids, and the other columns of a batch."""
        texts = [[np.ones(self._tokens, np.int32) for _ in rows] for _ in self.sides]
        hashes = (
            {}
            if self.sides == ("text",)
            else {f"{side}_hash": np.zeros((len(rows), 2), np.uint32) for side in self.sides}
        )
        return texts, hashes | {name: values[rows] for name, values in self._columns.items()}


def make_plan(config: TrainConfig, devices: Sequence[jax.Device], tokens: int | None = None) -> Plan:
    """Compiles the step of a resolved config for these devices; of several objectives, the one that needs most memory.

    Args:
      config: `model.encoder.vocab_size` must be set.
      devices: of a topology (`jax.experimental.topologies`), or real ones.
      tokens: number of tokens of each text; `data.max_length` when None.
    """
    plans = [_plan_of(name, config, devices, tokens) for name in config.trained_objectives]
    return max(plans, key=lambda plan: (not plan.fits, plan.peak))


def _plan_of(name: str, config: TrainConfig, devices: Sequence[jax.Device], tokens: int | None) -> Plan:
    objective = config.trained_objectives[name]
    tokens = config.data.max_length if tokens is None else tokens
    model = config.model
    if model.scan_layers is None:  # the default depends on the backend, and this is not the run's
        model = model.model_copy(update={"scan_layers": True})
        config = config.model_copy(update={"model": model})
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, devices)
    kinds = None
    if objective.masks_tokens:
        kinds = TokenKinds(1, np.full(model.encoder.vocab_size or 0, BEGINS, np.uint8), SPECIAL_TOKENS)
    program, last = Program(config, mesh, kinds), config.training.steps
    state = program.abstract_state(last)
    texts = _FullTexts(config, objective, tokens)
    order = Order(one_group(len(texts)), np.ones(1), "mixed", config.training.batch_size, seed=0)
    batch = Batches(texts, order, config.data, Part(devices=mesh.size)).batch(0)
    sharding = batch_sharding(mesh)
    shaped = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), batch)
    positions = sum(batch[name]["input_ids"].size for name in batch if isinstance(batch[name], dict))
    flops = model_flops(config, state.params, positions)
    chip = CHIPS.get(devices[0].device_kind)
    memory = math.inf if chip is None else chip.memory * _share(devices[0].platform)
    slice_ids = [slice_of(device) for device in mesh.devices.flat]
    message, peak, temporary, found = "", 0, 0, []
    step: Any = program.train_steps(last, state)[name]
    try:
        compiled = step.lower(state, shaped).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        message = str(error).splitlines()[0]
    else:
        analysis = compiled.memory_analysis()
        peak, temporary = analysis.peak_memory_in_bytes, analysis.temp_size_in_bytes
        found = collectives(compiled.as_text(), slice_ids)
        if peak > memory:  # the compiler for GPUs does not check this
            message = f"the peak is {peak / GIB:.2f} of {memory / GIB:.1f} GiB per device"
    again = {"none": 0.0, "dots": 0.0, "full": flops / 3}[model.remat]
    return Plan(
        device=devices[0].device_kind,
        devices=mesh.size,
        slices=len(set(slice_ids)),
        mesh=dict(mesh.shape),
        fits=not message,
        message=message,
        params=_bytes_on_one(state.params),
        optimizer=_bytes_on_one(state.opt_state),
        temporary=temporary,
        peak=peak,
        memory=memory,
        batch_size=config.training.batch_size,
        tokens=positions,
        model_flops=flops,
        again_flops=again,
        collectives=tuple(found),
        chip=chip,
        objective=name,
    )


def _share(platform: str) -> float:
    """The share of a device's memory that JAX uses: all of a TPU's; of a GPU's, the share in the environment."""
    return float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")) if platform == "gpu" else 1.0


def _bytes_on_one(tree: Any) -> int:
    """Bytes of these arrays on one device."""
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
