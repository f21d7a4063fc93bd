"""What each objective learns from, and which settings of an encoder it cannot learn with."""

from typing import get_args

import pytest
from pydantic import ValidationError

from jaxemb.config import BertConfig, LabseObjective, MlmObjective, Qwen3Config, SbertClassification, SimcseObjective
from jaxemb.config.objective import Objective, SupervisedSimcse, check_maskable, check_views
from jaxemb.config.sources import Extra

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def test_each_needs_and_takes_what_a_source_can_give():
    kinds = get_args(get_args(Objective)[0])
    assert len({kind.model_fields["kind"].default for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.needs | kind.takes <= set(get_args(Extra)), kind
    assert SimcseObjective.needs == {"twin"}
    assert "negatives" in SupervisedSimcse.needs | SupervisedSimcse.takes


def test_which_mask_tokens():
    assert MlmObjective().masks_tokens
    assert SimcseObjective(mlm_weight=0.1).masks_tokens
    assert not SimcseObjective().masks_tokens
    assert not LabseObjective().masks_tokens


def test_settings_that_do_not_go_together():
    with pytest.raises(ValidationError, match="Value error, chunk_tokens: 64 tokens or 4 rows"):
        LabseObjective(chunk=4, chunk_tokens=64)
    for features in ((), ("u", "u")):
        with pytest.raises(ValidationError, match="Value error, features: "):
            SbertClassification(features=features)


def test_simcse_wants_dropout_unless_its_absence_is_the_experiment():
    check_views(SimcseObjective(), BertConfig())
    check_views(SimcseObjective(ablation="no_dropout"), BertConfig(**STILL))
    with pytest.raises(ValueError, match=r"^objective\.kind: simcse"):
        check_views(SimcseObjective(), BertConfig(**STILL))
    with pytest.raises(ValueError, match=r"no_dropout"):
        check_views(SimcseObjective(ablation="no_dropout"), BertConfig())


def test_masked_tokens_want_an_encoder_that_sees_both_directions():
    check_maskable(MlmObjective(), BertConfig())
    check_maskable(LabseObjective(), Qwen3Config())
    check_maskable(MlmObjective(), Qwen3Config(causal=False))
    with pytest.raises(ValueError, match=r"causal"):
        check_maskable(MlmObjective(), Qwen3Config())
