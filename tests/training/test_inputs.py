"""What a run learns from: examples that are enough, tokenized, and this process's part of the batches."""

import pytest

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import train_tokenizer
from jaxemb.errors import UsageError
from jaxemb.parallel import make_mesh
from jaxemb.reporting.display import Display
from jaxemb.training.inputs import batches_of, open_examples, tokenize_examples
from support.runs import ids_of_step


def config_of(values):
    return config_files.validate(TrainConfig, values, "test")


def test_from_files_to_batches(values, capsys):
    config, display = config_of(values), Display()
    data = open_examples(config, display)
    assert f"{data.examples:,} examples in 1 language to train on, 20 held out" in capsys.readouterr().out
    tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, 0)
    short = config.model_copy(update={"data": config.data.model_copy(update={"max_length": 4})})
    tokenized = tokenize_examples(short, data, tokenizer, display)
    shown = capsys.readouterr().out
    assert "tokenizing" in shown
    assert (
        "the model embeds the first 512 tokens of a text (model.max_seq_length), but is trained on the first 4 "
        "(data.max_length)" in shown
    )
    assert tokenized.cut(4)["de"].cut_texts > 0
    tokenized = tokenize_examples(config, data, tokenizer, Display(quiet=True))
    batches = batches_of(config, tokenized, None, make_mesh())
    assert batches.batch(3)["id"].tolist() == ids_of_step(values, 3)


def test_too_few_examples_for_a_batch(values):
    values["training"]["batch_size"] = 512
    with pytest.raises(UsageError, match=r"training\.batch_size: 512 is more than the \d+ training examples"):
        open_examples(config_of(values), Display(quiet=True))
