"""What a training step needs on accelerators that are not here: memory, arithmetic, traffic, time."""

from jaxemb.parallel.chips import CHIPS, Chip
from jaxemb.planning.description import describe
from jaxemb.planning.plan import Plan, make_plan
from jaxemb.planning.topology import devices_of

__all__ = ["CHIPS", "Chip", "Plan", "describe", "devices_of", "make_plan"]
