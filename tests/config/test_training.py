"""Settings of the loop and of what surrounds it that do not go together."""

import pytest
from pydantic import ValidationError

from jaxemb.config import StackingConfig, StsConfig, TrainingConfig
from jaxemb.config.training import MeshConfig, split_language_pair


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: MeshConfig(data=0), "data"),
        (lambda: MeshConfig(data=-2), "data"),
        (lambda: StackingConfig(stages=()), "stages"),
        (lambda: TrainingConfig(), "steps"),
        (lambda: TrainingConfig(steps=1, freeze=("dense/.*", "encoder/(")), "freeze"),
        (lambda: StsConfig(paths=()), "paths"),
        (lambda: StsConfig(paths=("x",), language_pairs=("en-de", "ende")), "language_pairs"),
    ],
)
def test_what_does_not_go(make, key):
    with pytest.raises(ValidationError, match=f"Value error, {key}: "):
        make()


def test_steps_or_epochs():
    assert TrainingConfig(epochs=2.0).steps == 0
    assert MeshConfig(data=-1, fsdp=2).fsdp == 2


def test_a_pair_of_languages():
    assert split_language_pair("pairs", "en-de") == ("en", "de")
    for pair in ("en", "en-", "pt-BR-en"):
        with pytest.raises(ValueError, match=f"^pairs: '{pair}'"):
            split_language_pair("pairs", pair)
