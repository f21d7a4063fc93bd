"""Prepares the data of a config before a run: `jaxemb data prepare`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxemb import huggingface
from jaxemb.config import TrainConfig
from jaxemb.data.beam.running import prepare_with_beam
from jaxemb.data.gathering.gather import gather
from jaxemb.data.preparing.local import write_shards
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.stored import TOKENIZER
from jaxemb.errors import UsageError
from jaxemb.loading import pinned
from jaxemb.reporting.display import Display
from jaxemb.training.inputs import describe_examples, with_prompts
from jaxemb.training.resolve import with_init_from
from jaxemb.training.setup import given_tokenizer, towers_of, vocabulary


def prepare_data(
    config: TrainConfig, output: str, display: Display, workers: int | None = None, beam: Sequence[str] | None = None
) -> Manifest:
    """Prepares the training examples of a config, with its tokenizer, in a folder or behind a URL.

    An interrupted call goes on where it stopped. The tokenizer is that of `model.init_from` or `tokenizer.path`, or is
    trained as a run would do.

    Args:
      config: as for `jaxemb.train`; its sources, prompts, model and tokenizer are used.
      output: a new folder, or a URL that fsspec opens.
      display: says what is done.
      workers: number of processes; the number of cores when None.
      beam: options of Apache Beam, which then does the work, with any runner; this machine when None.

    Raises:
      UserError: for what the user can put right; `data.prepared` must not be set.
    """
    if config.data.prepared is not None:
        raise UsageError("data.prepared: a preparation reads the sources; set it to null")
    towers = None
    if config.model.init_from is not None:
        config = with_init_from(config, pinned(config.model.init_from))
        towers = towers_of(config, None)
    tokenizer = given_tokenizer(config, towers)
    if beam is not None:
        if tokenizer is None:
            raise UsageError(
                "tokenizer.path: a preparation by Apache Beam needs a tokenizer; train one with `jaxemb tokenizer "
                "train --config C --output TOK`, and set tokenizer.path to TOK"
            )
        display.headline("reading, cleaning, tokenizing and writing shards, by Apache Beam")
        options, seed = with_prompts(config), config.training.seed
        return prepare_with_beam(options, seed, Encoding.of(tokenizer), output, beam, _files(tokenizer))
    display.headline("gathering and cleaning examples")
    data = gather(config.data, config.training.seed, workers)
    describe_examples(config, data, display)
    if tokenizer is None:
        tokenizer = vocabulary(config, data, display)
    display.headline("tokenizing, and writing shards")
    return write_shards(data, with_prompts(config), Encoding.of(tokenizer), output, _files(tokenizer), workers)


def _files(tokenizer: Any) -> dict[str, bytes]:
    """The files of a tokenizer, by their names in the output."""
    with tempfile.TemporaryDirectory() as folder:
        huggingface.save_tokenizer(tokenizer, Path(folder))
        return {f"{TOKENIZER}/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())}
