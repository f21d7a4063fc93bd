"""Runs a preparation as an Apache Beam pipeline, on this machine or on many."""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.beam.outcome import finished
from jaxemb.data.beam.pipeline import OUTCOME, Plan, build
from jaxemb.data.beam.shards import TOKENIZER, Target
from jaxemb.data.cache import fingerprint
from jaxemb.data.gathering.gather import gathered_name
from jaxemb.data.gathering.units import units_of
from jaxemb.data.pairs.exclude import excluded_files
from jaxemb.data.preparing.finishing import finish, prompts_of, sources_of
from jaxemb.data.preparing.output import Output
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.preparing.writing import SHARD_ROWS
from jaxemb.data.shards.manifest import LAYOUT_VERSION, ORDER_VERSION, Manifest
from jaxemb.errors import UsageError, UserError
from jaxemb.files import cache_root

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_OF_A_STEP = re.compile(r"^jaxemb\.errors\.\w+: (.*)$", re.MULTILINE)
"""Where a runner quotes our error in its own."""
_STEP = re.compile(r" \[while running '.*")
"""What Beam adds to the message of an error."""


def prepare_with_beam(
    config: DataConfig,
    seed: int,
    encoding: Encoding,
    output: str,
    options: Sequence[str] = (),
    beside: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Does what `gather` and `write_shards` do as an Apache Beam pipeline: the same shards and manifest.

    Args:
      config: sources, filters, exclude, holdout. All machines must see the files under the same names.
      seed: of the choice of the held-out set.
      encoding: the tokenizer.
      output: a folder that all machines see, or a URL.
      options: Beam's flags, such as `--runner=DataflowRunner`; without `--runner`, this machine does everything.
      beside: more files to write there, by name.

    Raises:
      UsageError: if Beam or its runner is not installed, `data.near_duplicates` is set, or the output has other data.
      UserError: as `gather` and `write_shards`, or if the pipeline fails.
    """
    pipeline_options = _options(options)
    if config.near_duplicates is not None:
        raise UsageError("data.near_duplicates: the Beam runner does not find near duplicates; set it to null")
    units = tuple(units_of(config, excluded_files(config.exclude, config.root)))
    data, prompts = gathered_name(config, seed, units), prompts_of(config)
    tokenizer = (encoding.hash, encoding.truncation_side)
    plan = fingerprint("beam", data, *tokenizer, prompts, SHARD_ROWS, LAYOUT_VERSION, ORDER_VERSION)
    place = Output(output, plan, cache_root(config.cache_dir) / f"shards-{plan}")
    place.write(TOKENIZER, encoding.backend.to_str().encode())
    target = Target(output, plan, np.dtype(encoding.dtype).name, prompts)
    _run(Plan(config, seed, units, target), pipeline_options)
    content = place.read(OUTCOME)
    if content is None:
        raise UserError(f"{output}: the pipeline ended without its result; look at the runner's log")
    done, texts = finished(data, content, len(config.sources))
    for name in (OUTCOME, TOKENIZER):
        place.remove(name)
    return finish(place, done, encoding, sources_of(config, texts), beside)


def _options(flags: Sequence[str]) -> "PipelineOptions":
    try:
        with _quiet(None, logging.ERROR):  # it warns of parts of Google's cloud that are not installed
            from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise UsageError("the Beam runner needs Apache Beam: pip install 'jaxemb[beam]'") from error
    return PipelineOptions(list(flags))


def _run(plan: Plan, options: "PipelineOptions") -> None:
    """Runs the pipeline to its end.

    Raises:
      UsageError: if the runner cannot be had.
      UserError: as a step of the pipeline, on whichever machine.
    """
    import apache_beam as beam

    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError) as error:
        raise UsageError(f"the Beam runner: {' '.join(str(error).split())}") from error
    build(pipeline, plan)
    try:
        with _quiet("apache_beam.runners.common", logging.CRITICAL):  # the error says the same
            pipeline.run().wait_until_finish()
    except UserError as error:
        raise UserError(_STEP.sub("", str(error))) from error
    except Exception as error:
        if quoted := _OF_A_STEP.search(str(error)):
            raise UserError(_STEP.sub("", quoted[1])) from error
        raise


@contextlib.contextmanager
def _quiet(logger: str | None, level: int) -> Iterator[None]:
    """Only messages of this level and above come from a logger; the root logger if None."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)
