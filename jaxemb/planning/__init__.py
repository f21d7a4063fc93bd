"""What a training step takes of an accelerator that is not there: memory, arithmetic, traffic, time."""

from jaxemb.planning.chips import CHIPS, Chip
from jaxemb.planning.plan import Plan, make_plan
from jaxemb.planning.told import told

__all__ = ["CHIPS", "Chip", "Plan", "make_plan", "told"]
