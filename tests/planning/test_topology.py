"""Devices that are not there, and what a plan says of them."""

import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from jaxemb.cli.plan import _QUIET
from jaxemb.errors import UsageError
from jaxemb.planning import devices_of
from jaxemb.planning.plan import _share
from jaxemb.planning.topology import slice_of
from support.plans import ROOT


@pytest.mark.parametrize(
    ("topology", "package"), [("h100:8", f"jax-cuda12-plugin=={jax.__version__}"), ("v5e:4x4", "jaxemb[tpu]")]
)
def test_compilers_that_are_not_installed(monkeypatch, topology, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install") as error:
        devices_of(topology, 1)
    assert f"'{package}'" in str(error.value)


def test_slices_and_nodes():
    assert slice_of(SimpleNamespace(platform="gpu", process_index=3, slice_index=0)) == 3
    assert slice_of(SimpleNamespace(platform="tpu", process_index=3, slice_index=1)) == 1
    assert slice_of(SimpleNamespace(platform="cpu", process_index=3)) == 0


def test_memory_that_jax_takes_of_a_gpu(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    assert (_share("gpu"), _share("tpu")) == (0.75, 1.0)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".92")
    assert (_share("gpu"), _share("tpu")) == (0.92, 1.0)


PLUGIN = any(
    importlib.util.find_spec("jax_plugins") and importlib.util.find_spec(f"jax_plugins.xla_cuda{version}")
    for version in (12, 13)
)


@pytest.mark.skipif(not PLUGIN, reason="JAX's CUDA plugin is not installed")
def test_gpus_of_two_nodes(tmp_path):
    """In a process of its own, which may load the plugin."""
    code = (
        "import json, sys\nfrom jaxemb.config import LabseObjective\n"
        "from jaxemb.planning import devices_of, make_plan\n"
        "from support.plans import config\n"
        "plan = make_plan(config(LabseObjective()), devices_of('h100:4', 2))\n"
        "found = [plan.device, plan.devices, plan.slices, plan.fits, plan.sent, plan.crossing]\n"
        "json.dump(found, open(sys.argv[1], 'w'))"
    )
    environment = {**os.environ, **_QUIET, "PYTHONPATH": str(ROOT)}
    path = tmp_path / "plan.json"
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, env=environment, check=True, timeout=300)
    device, devices, slices, fits, sent, crossing = json.loads(path.read_text())
    assert (device, devices, slices, fits) == ("NVIDIA H100 80GB HBM3", 8, 2, True)
    assert sent == pytest.approx(6 * crossing, rel=0.05)  # 3/4 of the gradient inside a node, 1/8 across
