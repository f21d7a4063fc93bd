"""The base of all settings, and types that they share."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Size = Annotated[int, Field(ge=1, lt=2**31)]
Width = Annotated[int, Field(ge=1, le=2**20)]
"""Width of a token vector or of an attention head. The bound is far above any model: rotary angles are computed before
the weights are read, so a damaged config.json with 10^9 would take a minute and 3 GB.
"""


class Settings(BaseModel):
    """Base of all settings: unknown keys and wrong types are errors, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def check_pattern(key: str, pattern: str) -> None:
    """Raises ValueError, whose message begins with the key, if `pattern` is not a valid regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{key}: {pattern!r} is not a valid regular expression ({error})") from None
