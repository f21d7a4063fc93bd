"""What a training step takes of an accelerator that is not there: memory, arithmetic, traffic, time."""

from jaxemb.parallel.chips import CHIPS, Chip
from jaxemb.planning.description import describe
from jaxemb.planning.plan import Plan, make_plan
from jaxemb.planning.topology import devices_of

__all__ = ["CHIPS", "Chip", "Plan", "describe", "devices_of", "make_plan"]
