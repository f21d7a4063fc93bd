"""Vendors' specifications of accelerators; all numbers are for one JAX device."""

from dataclasses import dataclass

GIB, GB, TERA = 2.0**30, 1e9, 1e12


@dataclass(frozen=True)
class Chip:
    """One accelerator."""

    flops: float
    """Dense bfloat16 operations per second, at the peak."""
    memory: float
    """Memory in bytes."""
    memory_bandwidth: float
    """Memory bandwidth in bytes per second."""
    network: float
    """Bytes per second that it can send to other devices of its slice or host, over all its links."""
    between: float
    """Bytes per second that it can send to other slices or hosts: its share of its host's network."""


CHIPS = {
    "TPU v4": Chip(275 * TERA, 32 * GIB, 1200 * GB, 300 * GB, 6.25 * GB),
    "TPU v5 lite": Chip(197 * TERA, 16 * GIB, 819 * GB, 200 * GB, 3.125 * GB),
    "TPU v5": Chip(459 * TERA, 95 * GIB, 2765 * GB, 600 * GB, 6.25 * GB),
    "TPU v6 lite": Chip(918 * TERA, 32 * GIB, 1638 * GB, 400 * GB, 3.125 * GB),
    "TPU7x": Chip(1153.5 * TERA, 96 * GIB, 3690 * GB, 300 * GB, 3.125 * GB),
    "NVIDIA A100-SXM4-80GB": Chip(312 * TERA, 80 * GIB, 2039 * GB, 300 * GB, 25 * GB),
    "NVIDIA H100 80GB HBM3": Chip(989.4 * TERA, 80 * GIB, 3350 * GB, 450 * GB, 50 * GB),
    "NVIDIA H200": Chip(989.4 * TERA, 141 * GIB, 4800 * GB, 450 * GB, 50 * GB),
}
"""By `jax.Device.device_kind`. A v4 or v5p chip is one device (megacore), a TPU7x chip is two.

`between` is an assumption. TPUs: 25 GB/s per host (Austin et al. 2025, How to Scale Your Model, part 2), shared by 8
chips of v5e and v6e, or 4 of the others. GPUs: one network port each, as in NVIDIA's DGX systems: 200 Gb/s for an A100,
400 for the others."""
