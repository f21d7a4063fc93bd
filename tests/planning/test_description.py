import jax

from jaxemb.config import LabseObjective
from jaxemb.parallel.chips import CHIPS, Chip
from jaxemb.planning import describe, make_plan
from support.plans import config


def test_a_peak_above_the_memory_does_not_fit(monkeypatch):
    """Where the compiler does not mind."""
    one, devices = config(LabseObjective()), jax.devices()[:4]
    chip = Chip(flops=1e12, memory=1000.0, memory_bandwidth=1e12, network=1e9, between=1e9)
    monkeypatch.setitem(CHIPS, devices[0].device_kind, chip)
    plan = make_plan(one, devices)
    assert plan.seconds.keys() == {"arithmetic", "memory", "network"}
    assert plan.seconds["network"] == plan.sent / 1e9
    assert not plan.fits
    assert any(line.startswith("DOES NOT FIT: the peak is 0.00 of 0.0 GiB per device") for line in describe(plan, one))
