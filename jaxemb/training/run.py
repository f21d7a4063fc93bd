"""One training run from config to export: data, tokenizer, model, loop, evaluation, Hugging Face folder."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb import config_io, huggingface, objectives
from jaxemb.config import ModelConfig, TrainConfig
from jaxemb.data import Batches, PreparedData, prepare, tokenize, train_tokenizer
from jaxemb.encoding import encode
from jaxemb.errors import UsageError
from jaxemb.evaluation import RetrievalReport, build_pools, heldout_report, score_pools, score_pools_tfidf
from jaxemb.files import atomic_directory, write_atomically
from jaxemb.loading import load
from jaxemb.models import Embedder, in_float32, init
from jaxemb.objectives import Objective
from jaxemb.parallel import make_mesh
from jaxemb.training import optimizer as optimizers
from jaxemb.training.card import card_of
from jaxemb.training.checkpoint import Checkpoints
from jaxemb.training.display import Display
from jaxemb.training.loop import count_parameters, run_loop
from jaxemb.training.metrics import MetricsWriter
from jaxemb.training.rundir import RunDirectory
from jaxemb.training.step import TrainState, init_state, make_train_step


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind."""

    embedder: Embedder
    run_dir: Path
    export_dir: Path | None
    """The Hugging Face folder; None if `export.enabled` is off."""
    heldout: Mapping[str, RetrievalReport]
    """Held-out retrieval of each system: `trained`, `untrained`, and TF-IDF if asked for. Empty without a split."""


def train(
    config: TrainConfig | Mapping[str, Any] | str | Path,
    *,
    objective: Objective | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> TrainResult:
    r"""Trains an embedder as `config` says and exports it.

    Args:
      config: a config, its values, or the path of a YAML file. `output_dir` must be set.
      objective: `(params, batch, key) -> (loss, metrics)` in place of the config's own. `loss` is a scalar over the
        global batch; `batch` holds `anchor` and `positive` (each `input_ids` and `attention_mask`, int32 [B, S]),
        `anchor_hash` and `positive_hash` (uint32 [B, 2]), `id` (uint32 [B]) and `weight` (float32 [B]). It runs
        under `jit` with the batch split over the devices: plain `jax.numpy` over the whole batch is right.
      resume: continue the run in `output_dir`; start it if there is none.
      quiet: print nothing.

    Raises:
      UserError: for a config, file or value that the user can put right.
      Stopped: after a checkpoint, if Ctrl-C or SIGTERM came.

    >>> import tempfile, pathlib, jax, jaxemb
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> pairs = "".join(f"number {n}\tnombre {n * n}\n" for n in range(64))
    >>> _ = (folder / "en-fr.tsv").write_text(pairs)
    >>> tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    >>> config = {
    ...     "output_dir": str(folder / "run"),
    ...     "data": {"root": str(folder), "sources": [{"kind": "tsv", "path": "en-fr.tsv"}], "cache_dir": str(folder),
    ...              "holdout": {"pairs_per_language": 0}, "max_length": 16, "length_buckets": [16]},
    ...     "tokenizer": {"vocab_size": 60}, "model": {"encoder": tiny},
    ...     "training": {"steps": 2, "batch_size": 16},
    ...     "export": {"verify": "jax"},
    ... }
    >>> def objective(params, batch, key):  # the distance of a pair, and nothing against collapse
    ...     model = jaxemb.config.ModelConfig.model_validate({"encoder": tiny})
    ...     a, b = (jaxemb.models.apply(model, params, batch[side], key) for side in ("anchor", "positive"))
    ...     return ((a - b) ** 2).sum(1).mean(), {}
    >>> result = jaxemb.train(config, objective=objective, quiet=True)
    >>> result.embedder.encode(["number 3"]).shape
    (1, 16)
    """
    if isinstance(config, str | Path):
        config = config_io.load_config(Path(config))
    elif not isinstance(config, TrainConfig):
        config = config_io.validate(TrainConfig, dict(config), "config")
    if config.output_dir is None:
        raise UsageError("output_dir: no run directory is given (--output-dir RUN, or `output_dir:` in the config)")
    run = RunDirectory(Path(config.output_dir))
    run.begin(resume)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp)
    _check_batch(config, mesh.size)
    display = Display(quiet)
    devices = f"{mesh.size} {jax.devices()[0].device_kind} device{'s' * (mesh.size > 1)}"
    display.headline(f"run directory {run.path}, {devices}, mesh data={mesh.shape['data']} fsdp={mesh.shape['fsdp']}")

    start_from = load(config.model.init_from) if config.model.init_from else None
    resumed = resume and run.tokenizer.is_dir()
    if resumed:
        tokenizer = huggingface.load_tokenizer(run.tokenizer)
        config = _resolve(config, start_from, tokenizer)
        run.check_same_run(config)
        if run.is_finished(config):
            display.headline(f"nothing to do: all {config.training.steps} steps are taken and {run.export} is written")
            return TrainResult(load(run.path), run.path, run.export if config.export.enabled else None, {})
    display.headline("gathering and cleaning pairs")
    data = prepare(config.data, config.training.seed)
    held_out = sum(map(len, data.heldout.values()))
    display.headline(f"{len(data.train):,} pairs in {len(data.languages)} languages to train on, {held_out:,} held out")
    if not resumed:
        if start_from is not None:
            tokenizer = start_from.tokenizer
        else:
            display.headline(f"training a WordPiece vocabulary of {config.tokenizer.vocab_size:,}")
            tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, config.training.seed)
        config = _resolve(config, start_from, tokenizer)
        run.save_config(config)
        write_atomically(run.data_report, json.dumps(data.report, indent=1, ensure_ascii=False))
        with atomic_directory(run.tokenizer) as partial_folder:
            huggingface.save_tokenizer(tokenizer, partial_folder)

    run.results.unlink(missing_ok=True)  # of the shorter run that is continued

    display.headline("tokenizing")
    tokenized = tokenize(data, tokenizer, config.data.max_length, prompt=config.model.prompt)
    batches = Batches(
        tokenized,
        config.data,
        config.training.batch_size,
        config.training.seed,
        tokenizer.pad_token_id,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )

    params = init(config.model, jax.random.key(config.training.seed))
    if start_from is not None:
        params = {**params, "encoder": start_from.params["encoder"]} if config.model.new_head else start_from.params
    embedder = Embedder(config.model, params, tokenizer)
    passes = config.training.steps * config.training.batch_size / len(data.train)
    display.headline(
        f"model of {count_parameters(params) / 1e6:.1f}M parameters, {config.training.steps:,} steps of "
        f"{config.training.batch_size} pairs ({passes:.1f} passes over the data)"
    )
    optimizer = optimizers.build(config.optimizer, config.training.steps)
    state = init_state(params, optimizer, mesh)
    evaluate = _Evaluation(config, embedder, data, display)
    heldout: dict[str, RetrievalReport] = {}
    if evaluate.pools:
        heldout["untrained"] = evaluate(state)
        if config.evaluation.baselines:
            display.headline("scoring character-n-gram TF-IDF on the same pools")
            heldout["character n-gram TF-IDF"] = heldout_report(score_pools_tfidf(evaluate.pools))

    train_step = make_train_step(
        objective or objectives.build(config.objective, config.model, mesh),
        optimizer,
        mesh,
        state,
        config.training.seed,
    )
    keep = config.training.keep_checkpoints
    with Checkpoints(run.checkpoints, keep) as checkpoints:
        if checkpoints.steps:
            state = checkpoints.restore(state)
            display.headline(f"resuming after step {int(state.step)}")
        with contextlib.ExitStack() as stack:
            writer = None
            if jax.process_index() == 0:
                writer = stack.enter_context(MetricsWriter(run.path, int(state.step)))
            state = run_loop(
                config,
                state,
                train_step,
                batches.stream(int(state.step), config.training.steps),
                mesh,
                checkpoints=checkpoints,
                writer=writer,
                display=display,
                evaluate=lambda state: scalars(evaluate(state)) if evaluate.pools else {},
            )
    if evaluate.pools:
        heldout["trained"] = evaluate(state)
    trained = Embedder(in_float32(config.model), jax.tree.map(np.asarray, jax.device_get(state.params)), tokenizer)
    write_atomically(run.results, json.dumps({name: report.to_json() for name, report in heldout.items()}, indent=1))
    export_dir = _export(config, trained, run, display) if config.export.enabled else None
    return TrainResult(trained, run.path, export_dir, heldout)


def _check_batch(config: TrainConfig, devices: int) -> None:
    if config.training.batch_size % devices:
        raise UsageError(
            f"training.batch_size: {config.training.batch_size} pairs do not divide by {devices} devices; "
            f"the nearest that does is {max(1, round(config.training.batch_size / devices)) * devices}"
        )


def _resolve(config: TrainConfig, start_from: Embedder | None, tokenizer: Any) -> TrainConfig:
    """Fills in what the tokenizer or the model to start from decide, and checks the whole again."""
    model = config.model
    if start_from is not None:
        from_config = {"init_from", "new_head", "compute_dtype", "remat"} | ({"prompt"} if model.prompt else set())
        from_config |= {"pooling", "dense", "normalize"} if model.new_head else set()
        model = start_from.config.model_copy(update={name: getattr(model, name) for name in from_config})
    positions = model.encoder.max_position_embeddings
    if config.data.max_length > positions:
        raise UsageError(
            f"data.max_length: {config.data.max_length} tokens do not fit the model's {positions} positions"
        )
    wanted = model.encoder.vocab_size
    if wanted is not None and wanted < len(tokenizer):
        raise UsageError(f"model.encoder.vocab_size: {wanted} rows do not hold the tokenizer's {len(tokenizer)} tokens")
    encoder = model.encoder.model_copy(
        update={"vocab_size": wanted or len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    )
    resolved: ModelConfig = model.model_copy(
        update={"encoder": encoder, "max_seq_length": config.model.max_seq_length or config.data.max_length}
    )
    return config.model_copy(update={"model": resolved})


class _Evaluation:
    """Held-out retrieval of a state, through the same encode path as everything else."""

    def __init__(self, config: TrainConfig, embedder: Embedder, data: PreparedData, display: Display) -> None:
        self.pools = build_pools(data.heldout, config.evaluation)
        self._embedder, self._display = embedder, display

    def __call__(self, state: TrainState) -> RetrievalReport:
        embedder = replace(self._embedder, params=state.params)
        report = heldout_report(score_pools(partial(encode, embedder), self.pools))
        shown = ", ".join(f"{average.name} {average.mean:.1f} %" for average in report.averages)
        self._display.headline(f"held-out retrieval after step {int(state.step)}: {shown}")
        return report


def scalars(report: RetrievalReport) -> dict[str, float]:
    """Macro averages by group of scripts, percent, for the log."""
    return {f"{average.name.replace(' ', '_')}_accuracy": average.mean for average in report.averages}


def _export(config: TrainConfig, embedder: Embedder, run: RunDirectory, display: Display) -> Path:
    if jax.process_index() == 0:
        if run.export.exists():
            shutil.rmtree(run.export)  # of the shorter run that is continued
        display.headline("exporting, reloading and comparing")
        report = huggingface.export(embedder, run.export, card=card_of(run.path), verify=config.export.verify)
        display.headline(f"exported to {run.export}: {report}")
    return run.export
