"""What a training step takes of an accelerator that is not there: memory, arithmetic, traffic, time."""

from jaxemb.planning.chips import CHIPS, Chip
from jaxemb.planning.describe import describe
from jaxemb.planning.plan import Plan, make_plan

__all__ = ["CHIPS", "Chip", "Plan", "describe", "make_plan"]
