"""`jaxemb plan`: how large the vocabulary is, and what is suggested where a batch does not fit."""

import dataclasses
from types import SimpleNamespace

import pytest

from jaxemb.cli.plan import _config, _suggestions
from jaxemb.errors import UsageError
from support.plans import ROOT
from support.tiny_models import TOKENIZER, tiny_embedder


def test_the_vocabulary_is_that_of_the_checkpoint_the_tokenizer_or_the_flag(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("NOT_SET_ANYWHERE", "")
    monkeypatch.delenv("NOT_SET_ANYWHERE")  # and so again after the test
    config = tmp_path / "config.yaml"
    source = "data: {sources: [{kind: tsv, path: en-de.tsv}], root: '${NOT_SET_ANYWHERE}'}\ntraining: {steps: 1}\n"
    config.write_text(source + "tokenizer: {vocab_size: 123}\n")
    assert _config(config, []).model.encoder.vocab_size == 123
    assert _config(config, ["--tokenizer.vocab-size", "456"]).model.encoder.vocab_size == 456
    config.write_text(source + f"model: {{init_from: {exported}}}\n")
    assert _config(config, []).model.encoder == tiny_embedder().config.encoder
    config.write_text(source + f"tokenizer: {{path: {exported}}}\n")
    assert _config(config, []).model.encoder.vocab_size == len(TOKENIZER)
    config.write_text(source + "tokenizer: {path: nowhere}\n")
    with pytest.raises(
        UsageError, match=r"tokenizer\.path: nowhere is not a folder here: give the size of the vocabulary"
    ):
        _config(config, [])
    assert _config(ROOT / "configs" / "labse_pretrain.yaml", ["--model.encoder.vocab-size", "501153"])


@dataclasses.dataclass
class Plan:
    """One that needs a byte an example, and less with more remat."""

    remat: str
    batch_size: int
    memory: int
    devices: int = 4

    @property
    def peak(self):
        return self.batch_size / {"none": 1, "dots": 2, "full": 4}[self.remat]

    @property
    def fits(self):
        return self.peak <= self.memory


@pytest.mark.parametrize(
    ("memory", "remat", "batch"), [(64, "none", 256), (20, "full", 64), (4, None, 16), (0.5, None, None)]
)
def test_the_least_remat_and_the_largest_batch(memory, remat, batch):
    def plan(remat, batch_size):
        return Plan(remat, batch_size, memory)

    config = SimpleNamespace(model=SimpleNamespace(remat="dots"))
    lines = [f"least remat that fits: {remat} (0.00 GiB)"] if remat else []
    if batch:
        lines += [f"largest batch that fits, by powers of two, with full remat: {batch}"]
    else:
        lines += ["no batch fits, even with full remat: split the parameters (--mesh.fsdp), or use more devices"]
    assert _suggestions(plan, plan("dots", 64), config) == lines
