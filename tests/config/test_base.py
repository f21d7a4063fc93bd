import pytest
from pydantic import ValidationError

from jaxemb.config.base import Fraction, Settings, Size, check_pattern


class Example(Settings):
    """Settings of a test."""

    rate: Fraction = 0.1
    """A rate."""
    size: Size = 8
    """A size."""


@pytest.mark.parametrize(
    ("values", "key"),
    [({"rat": 0.2}, "rat"), ({"rate": 1.0}, "rate"), ({"rate": -0.1}, "rate"), ({"rate": "0.2"}, "rate"),
     ({"size": 0}, "size"), ({"size": 2**31}, "size"), ({"size": 8.0}, "size")],
)  # fmt: skip
def test_unknown_keys_and_wrong_types_are_errors(values, key):
    with pytest.raises(ValidationError) as error:
        Example(**values)
    assert [mistake["loc"] for mistake in error.value.errors()] == [(key,)]


def test_settings_stay_as_they_are_and_describe_themselves():
    with pytest.raises(ValidationError, match="frozen"):
        Example().rate = 0.5
    assert Example.model_fields["rate"].description == "A rate."


def test_a_pattern_is_a_regular_expression():
    check_pattern("freeze", "encoder/.*")
    with pytest.raises(ValueError, match=r"^freeze: 'encoder/\(' is not a valid regular expression \(missing \)"):
        check_pattern("freeze", "encoder/(")
