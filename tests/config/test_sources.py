"""What the examples of a source have beside two texts."""

import pytest
from pydantic import ValidationError

from jaxemb.config import JsonlSource, NliSource, StsSource, TextSource, TfdsSource, TsvSource


@pytest.mark.parametrize(
    ("source", "gives"),
    [
        (TsvSource(path="x"), set()),
        (TextSource(path="x"), {"twin"}),
        (NliSource(path="x"), {"label"}),
        (NliSource(path="x", triplets=True), {"negatives"}),
        (StsSource(path="x"), {"score"}),
        (JsonlSource(path="x"), set()),
        (JsonlSource(path="x", positive_key=None), {"twin"}),
        (TfdsSource(name="x", negative_keys=("n",), label_key="l", score_key="s"), {"negatives", "label", "score"}),
    ],
)
def test_what_it_gives(source, gives):
    assert source.gives == gives


@pytest.mark.parametrize("extra", [{"negative_keys": ("n",)}, {"label_key": "l"}, {"score_key": "s"}])
def test_a_single_sentence_has_nothing_beside_it(extra):
    with pytest.raises(ValidationError, match="Value error, positive_key: "):
        JsonlSource(path="x", positive_key=None, **extra)
