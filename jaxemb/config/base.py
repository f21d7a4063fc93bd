"""The base of all settings, and types that they share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from jaxemb.language_tags import checked_language


def _language(name: str) -> str:
    try:
        return checked_language(name)
    except ValueError as error:
        raise PydanticCustomError("language", "{message}", {"message": str(error)}) from None


Language = Annotated[str, AfterValidator(_language)]
"""A language; whatever the user writes (`eng_Latn`, `EN`), the settings hold the BCP 47 tag (`en`)."""
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
