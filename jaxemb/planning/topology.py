"""Devices that are not here, as compiler targets: TPUs by libtpu, GPUs by JAX's CUDA plugin, without a driver."""

import importlib.util
import re
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental import topologies

from jaxemb.errors import UsageError
from jaxemb.parallel.chips import CHIPS

EXAMPLES = "v5e:4x4, v6e:16x16, v4:2x2x4, v5p:4x4x4, tpu7x:2x2x2, a100:8, h100:8 and h200:8 are"


@dataclass(frozen=True)
class _Gpu:
    """The properties of a GPU that the compiler needs."""

    kind: str
    """`jax.Device.device_kind`."""
    capability: int
    """Major number of the compute capability."""
    multiprocessors: int
    lanes: int
    """Float32 units of a multiprocessor."""
    shared: int
    """Bytes of shared memory of a multiprocessor; a block may use all but one KiB."""
    cache: int
    """Bytes of the L2 cache."""
    clock: float
    """Boost clock in GHz."""


KIB, MIB = 2**10, 2**20
GPUS = {
    "a100": _Gpu("NVIDIA A100-SXM4-80GB", 8, 108, 64, 164 * KIB, 40 * MIB, 1.41),
    "h100": _Gpu("NVIDIA H100 80GB HBM3", 9, 132, 128, 228 * KIB, 50 * MIB, 1.98),
    "h200": _Gpu("NVIDIA H200", 9, 132, 128, 228 * KIB, 50 * MIB, 1.98),
}
"""From NVIDIA's data sheets and the table of compute capabilities in its CUDA programming guide."""


def devices_of(topology: str, slices: int) -> list[jax.Device]:
    """The devices of TPU slices, or nodes with GPUs, that are not here.

    Args:
      topology: of one slice or node, such as `v5e:4x4` or `h100:8`.
      slices: number of slices or nodes.

    Raises:
      UsageError: if the topology is unknown, or its compiler is not installed.
    """
    kind, _, shape = topology.partition(":")
    try:
        if kind in GPUS:
            if not re.fullmatch(r"\d+", shape) or int(shape) < 1:
                raise ValueError(f"it must give the GPUs of one node, as in {kind}:8; --slices gives the nodes")
            _needs("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13", what=f"jax-cuda12-plugin=={jax.__version__}")
            described = topologies.get_topology_desc(
                platform="cuda", topology=f"1x{slices}x{int(shape)}", target_config=_target(GPUS[kind])
            )
        else:
            if not re.fullmatch(r"\w+:\d+(x\d+)*", topology):
                raise ValueError("expected KIND:AxB")
            _needs("libtpu", what="jaxemb[tpu]")
            # The two cores of a v4 or v5p chip are one device.
            cores = {"chip_config_name": "megacore"} if kind in ("v4", "v5p") else {}
            described = topologies.get_topology_desc(platform="tpu", topology_name=topology, num_slices=slices, **cores)
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--topology: {topology!r} is not known ({reason}); {EXAMPLES}") from None
    return list(described.devices)


def slice_of(device: Any) -> int:
    """The number of a TPU's slice, or of a planned GPU's node: the devices that share a fast network."""
    return device.process_index if device.platform == "gpu" else getattr(device, "slice_index", 0)


def _needs(*modules: str, what: str) -> None:
    for module in modules:
        parent = module.partition(".")[0]
        if importlib.util.find_spec(parent) and importlib.util.find_spec(module):
            return
    raise UsageError(f"compiling for these devices needs '{what}', but none of the devices: pip install '{what}'")


def _target(gpu: _Gpu) -> str:
    """XLA's description of a GPU, a `GpuTargetConfigProto` as text."""
    chip = CHIPS[gpu.kind]
    return f"""
gpu_device_info {{
  cuda_compute_capability {{ major: {gpu.capability} minor: 0 }}
  device_memory_size: {chip.memory:.0f}
  memory_bandwidth: {chip.memory_bandwidth:.0f}
  core_count: {gpu.multiprocessors}
  fpus_per_core: {gpu.lanes}
  clock_rate_ghz: {gpu.clock}
  l2_cache_size: {gpu.cache}
  shared_memory_per_core: {gpu.shared}
  shared_memory_per_block_optin: {gpu.shared - KIB}
  shared_memory_per_block: {48 * KIB}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  threads_per_warp: 32
  threads_per_core_limit: 2048
  threads_per_block_limit: 1024
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: {2**31 - 1}
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  device_address_bits: 64
}}
platform_name: "CUDA"
runtime_version {{ major: 12 minor: 9 }}
dnn_version_info {{ major: 9 minor: 8 }}
device_description_str: "{gpu.kind}"
"""
