"""Each loss has a docstring card."""

import inspect
import re

import pytest

from jaxemb import losses
from support.loss_cases import NO_LOSS


@pytest.mark.parametrize("name", sorted(set(losses.__all__) - NO_LOSS))
def test_a_loss_says_what_it_is_where_it_comes_from_and_what_it_equals(name):
    card = inspect.getdoc(getattr(losses, name))
    assert re.search(r"^    \S.* = ", card, re.M), "the formula, indented"
    assert "Source: " in card
    assert re.search(r"sentence-transformers('\s+`\w|\s+has\s+no\s+class)", card), "what it equals"
    assert "Args:" in card or "Arguments and errors are those of" in card
    assert re.search(r"Returns: .*(float32|function)", card, re.S)
    assert ">>> " in card
    arguments = re.findall(r"^  (\w+): ", card, re.M) if "Args:" in card else []
    assert arguments == [*inspect.signature(getattr(losses, name)).parameters][: len(arguments)]
    if arguments:
        assert len(arguments) == len(inspect.signature(getattr(losses, name)).parameters)
