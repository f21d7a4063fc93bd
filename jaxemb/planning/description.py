"""Describes a plan as text."""

from jaxemb.config import TrainConfig
from jaxemb.config.assignment import key_of
from jaxemb.planning.plan import Plan

GIB, MB, TERA = 2**30, 1e6, 1e12
SHOWN = 4
"""Number of collectives to list, largest first."""


def describe(plan: Plan, config: TrainConfig) -> list[str]:
    """The description of a plan, line by line.

    Args:
      plan: from `make_plan`.
      config: the config of the plan.
    """
    mesh = ", ".join(f"{name} {size}" for name, size in plan.mesh.items())
    across = f" in {plan.slices} slices or nodes" if plan.slices > 1 else ""
    lines = [f"{plan.devices} x {plan.device}{across}, mesh: {mesh}; vocabulary {config.model.encoder.vocab_size:,}"]
    if config.objectives:
        lines += [f"the step of {key_of(plan.objective)}, which needs the most memory of all objectives"]
    if plan.fits:
        lines += [
            f"fits: the peak is {plan.peak / GIB:.2f} of {plan.memory / GIB:.0f} GiB per device",
            f"  {plan.params / GIB:.2f} parameters, {plan.optimizer / GIB:.2f} optimizer, {plan.temporary / GIB:.2f} "
            "gradients, activations and loss",
        ]
    else:
        lines += [f"DOES NOT FIT: {plan.message}"]
    if plan.device.startswith("NVIDIA"):
        lines += ["  JAX uses three quarters of a GPU's memory, or the share in XLA_PYTHON_CLIENT_MEM_FRACTION"]
    lines += [
        f"a step: {plan.batch_size:,} examples, {plan.tokens:,} tokens; {plan.model_flops / TERA:,.1f} TFLOP of the "
        f"model, {plan.again_flops / TERA:,.1f} TFLOP recomputed (remat: {config.model.remat})"
    ]
    return lines + _traffic(plan) + _time(plan, config.training.steps) if plan.fits else lines


def _traffic(plan: Plan) -> list[str]:
    between = f" inside its slice and {plan.crossing / MB:,.1f} MB to other slices" if plan.slices > 1 else ""
    lines = [f"a device sends {plan.sent / MB:,.1f} MB{between} per step" + (", mostly:" if plan.collectives else "")]
    for one in plan.collectives[:SHOWN]:
        crossing = f", {one.crossing / MB:,.1f} MB to other slices" if one.crossing else ""
        lines += [f"  {one.count:4} x {one.kind:18} {one.array:24} {one.sent / MB:9,.1f} MB{crossing}"]
    return lines


def _time(plan: Plan, steps: int) -> list[str]:
    if plan.chip is None:
        return [f"the peak rates of {plan.device} are not known"]
    seconds = plan.seconds
    bounds = max(seconds.values()), sum(seconds.values())
    parts = ", ".join(f"{name} {1000 * value:,.1f}" for name, value in seconds.items())
    ideal = plan.model_flops / plan.devices / plan.chip.flops
    shares = " to ".join(f"{ideal / bound:.0%}" for bound in bounds)
    days = " to ".join(f"{86400 * plan.batch_size / bound / 1e6:,.0f}" for bound in bounds)
    lines = [
        f"ms per step at peak rates: {parts}",
        f"together {1000 * bounds[0]:,.1f} ms if all of it overlaps, {1000 * bounds[1]:,.1f} if nothing does: MFU "
        f"{shares}, {days} million examples per day",
    ]
    if steps:
        hours = " to ".join(f"{steps * bound / 3600:,.1f}" for bound in bounds)
        lines += [f"{steps:,} steps: {hours} hours at these rates, more in practice"]
    return lines
