"""`jaxemb train`."""

import subprocess
import sys

from pydantic import BaseModel

from jaxemb.config import (
    DataConfig,
    EvaluationConfig,
    FilterConfig,
    LanguageIdentification,
    LoraConfig,
    ModelConfig,
    NearDuplicates,
    NgramOverlap,
    StackingConfig,
    Stage,
    StsConfig,
    TrainConfig,
    TrainingConfig,
    TsvSource,
)
from support.commands import jaxemb


def test_training_does_not_import_pytorch():
    code = (
        "import sys, jaxemb.training.run; print({name.split('.')[0] for name in sys.modules} & {'torch', 'tensorflow'})"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"


def flags_of(value, prefix="--"):
    for name, field in type(value).model_fields.items():
        inner, flag = getattr(value, name), prefix + name.replace("_", "-")
        if isinstance(inner, BaseModel):
            yield from flags_of(inner, flag + ".")
        elif name not in ("kind", "sources", "prompts", "stages", "objectives"):
            yield flag, field.description


def test_train_help_shows_every_field(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    shown = " ".join(jaxemb("train", "--help").stdout.split())
    config = TrainConfig(
        data=DataConfig(
            sources=(TsvSource(path="x"),),
            filters=FilterConfig(identify_language=LanguageIdentification()),
            exclude_ngrams=NgramOverlap(),
            near_duplicates=NearDuplicates(),
        ),
        training=TrainingConfig(steps=2, stacking=StackingConfig(stages=(Stage(layers=6, steps=1),))),
        evaluation=EvaluationConfig(sts=StsConfig(paths=("x",))),
    )
    flags = dict(flags_of(config.model_copy(update={"model": ModelConfig(lora=LoraConfig())})))
    assert len(flags) > 60
    for flag, description in flags.items():
        assert flag in shown
        assert " ".join(description.replace("`", "").split())[:30] in shown.replace("`", ""), flag
    assert "--resume" in shown
    assert "--model.prompts.0.text" in shown
    assert "--objectives.nli.classes" in shown
