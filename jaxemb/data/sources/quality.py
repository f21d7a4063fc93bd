"""Numbers that say how good an example is, such as the margin scores of mined bitext."""

import math
from typing import Any

from jaxemb.readers.tables import is_number


def is_low(value: Any, lowest: float | None) -> bool:
    """Whether a quality is below the lowest that is taken.

    Args:
      value: a number, or a cell with one.
      lowest: `min_quality` of the source; None takes all.

    Raises:
      ValueError: if the value is not a finite number.
    """
    number = float(value) if not isinstance(value, bool) and is_number(value) else math.nan
    if not math.isfinite(number):
        raise ValueError(f"the quality {str(value)[:40]!r} is not a finite number")
    return lowest is not None and number < lowest
