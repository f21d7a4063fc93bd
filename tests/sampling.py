"""Some of a test's cases run always, the others with JAXEMB_TEST_ALL=1."""

from typing import Any

import pytest


def sampled(always: list[Any], more: list[Any]) -> list[Any]:
    """For `parametrize`: what covers the matrix, and more of the same."""
    return [
        *always,
        *(pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.exhaustive) for case in more),
    ]
