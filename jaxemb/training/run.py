"""One training run from config to export: data, tokenizer, model, loop, evaluation, Hugging Face folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb import distributed, huggingface
from jaxemb.config import MAIN, CustomObjective, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import Batches
from jaxemb.encoding import Embedder, Towers, towers_of
from jaxemb.errors import UsageError
from jaxemb.loading import load_towers
from jaxemb.models import in_float32
from jaxemb.models.paths import model_params
from jaxemb.objectives import Objective
from jaxemb.objectives.masking import token_kinds
from jaxemb.parallel import make_mesh, replicated
from jaxemb.reporting.display import Display
from jaxemb.reporting.model_card import card_of
from jaxemb.reporting.plots import alignment_path, plot_alignment
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.result import TrainResult
from jaxemb.runs.results import Reports
from jaxemb.runs.state import TrainState
from jaxemb.runs.storage import storage_of
from jaxemb.runs.storage.local import LocalStorage
from jaxemb.runs.trackers import trackers_of
from jaxemb.signals import StopRequest
from jaxemb.training.inputs import TrainingData, batches_of, part_of, teach, tokenize_examples
from jaxemb.training.inspecting import details_of
from jaxemb.training.loop.stages import Stages
from jaxemb.training.resolve import check_batch, preflight, read_config
from jaxemb.training.scoring import Scores
from jaxemb.training.setup import Setup, resume_run, start_run
from jaxemb.training.step.program import Program, describe_training
from jaxemb.training.suites import suites_of


def train(
    config: TrainConfig | Mapping[str, Any] | str | Path,
    *,
    objective: Objective | None = None,
    resume: bool = False,
    quiet: bool = False,
    profile: int = 0,
    devices: Sequence[jax.Device] | None = None,
) -> TrainResult:
    r"""Trains an embedder as `config` says and exports it.

    Args:
      config: a config, its values, or the path of a YAML file. `output_dir` must be set.
      objective: `(params, batch, key) -> (loss, metrics)` in place of the config's `objective` (not of `objectives`).
        `loss` is a scalar over the global batch; `batch` holds `anchor` and `positive` (`models.Tokens`, for
        `models.apply`: packed, or padded if there are `data.length_buckets`), `anchor_hash` and `positive_hash` (uint32
        [B, 2]), `id` (uint32 [B]) and `weight` (float32 [B]); and where the sources give them (`objective: {kind:
        custom}` takes any) hard negatives (`negative`, `negative_1`, ...), `label` (int32 [B]) and `score` (float32
        [B]). Of untied towers `params` holds those of `anchor` and those of `positive`. It runs under `jit` with the
        batch split over the devices: plain `jax.numpy` over the whole batch is right.
      resume: continue the run in `output_dir` from its newest checkpoint; start it if there is none.
      quiet: print nothing.
      profile: how many steps to trace, soon after the first, for xprof and TensorBoard: to `output_dir`/profile.
      devices: the devices to train on, such as `jax.devices()[:4]`; every device of every process when None.

    Raises:
      UserError: for a config, file or value that the user can put right.
      Stopped: if Ctrl-C or SIGTERM came while it trained, after a checkpoint; or SIGTERM before or after that.

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
    >>> model = jaxemb.config.ModelConfig.model_validate(config["model"])
    >>> def objective(params, batch, key):  # the distance of a pair, and nothing against collapse
    ...     key_a, key_b = jax.random.split(key)
    ...     a = jaxemb.models.apply(model, params, batch["anchor"], key_a)
    ...     b = jaxemb.models.apply(model, params, batch["positive"], key_b)
    ...     return ((a - b) ** 2).sum(1).mean(), {}
    >>> result = jaxemb.train(config, objective=objective, quiet=True)
    >>> result.embedder.encode(["number 3"]).shape
    (1, 16)
    """
    config = read_config(config)
    own = config.trained_objectives.get(MAIN)
    if isinstance(own, CustomObjective) and objective is None:
        raise UsageError("objective.kind: custom is a function passed to jaxemb.train(config, objective=...)")
    if own is None and objective is not None:
        raise UsageError(
            "jaxemb.train(objective=...) takes the place of the config's `objective`, which no source trains: "
            "all data.sources name another (`objective: NAME`)"
        )
    preflight(config)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, devices)
    check_batch(config, mesh.size)
    with StopRequest() as stop:
        display = Display(quiet)
        storage = storage_of(config, display.headline, stop)
        distributed.check_same("the config", config_files.dump(config))
        with storage.opened(resume):
            return _Run(config, objective, mesh, storage, stop, display).train(profile)


@dataclass(frozen=True)
class _Run:
    """One run in its directory, started or resumed."""

    config: TrainConfig
    """As given."""
    objective: Objective | None
    mesh: jax.sharding.Mesh
    storage: LocalStorage
    stop: StopRequest
    display: Display

    def train(self, profile: int) -> TrainResult:
        """Sets up, trains, evaluates and exports; traces `profile` steps."""
        run, say, resumed = self.storage.run, self.display.headline, bool(self.storage.run.steps)
        say(f"run directory {self.storage}, {_devices(self.mesh)}")
        set_up = resume_run if resumed else start_run
        setup = set_up(self.config, run, _name(self.objective), self.display)
        if setup.data is None:
            say(f"nothing to do: all {setup.config.training.steps} steps are taken, scored and exported")
            return _finished(setup.config, run)
        config, data = setup.config, setup.data
        self.storage.begin()
        batches = self._batches(config, data, setup)
        masks = any(objective.masks_tokens for objective in config.trained_objectives.values())
        kinds = token_kinds(setup.tokenizer) if masks else None
        program = Program(config, self.mesh, kinds, self.objective)
        best = partial(run.scores, config.best_metric)
        with Checkpoints(run.checkpoints, config.training.keep_checkpoints, best) as checkpoints:
            if resumed:
                state = checkpoints.restore(program.abstract_state(run.steps[-1]))
                say(f"resuming after step {int(state.step)}")
            else:
                state = program.first_state(setup.towers)
                setup = replace(setup, towers=None)  # whose parameters lie on one device
            for line in describe_training(program, state, batches, data.epoch):
                say(line)
            with trackers_of(run, int(state.step)) as tracker:
                suites = suites_of(config, data.heldout, setup.teacher)
                scores = Scores(config, setup.tokenizer, suites, run, tracker, self.display)
                if resumed:
                    scores.load()
                else:
                    scores.score_before(state)
                stages = Stages(program, batches, checkpoints, tracker, self.display, self.stop, scores.score)
                state = stages.train(state, profile)
                scores.score(state, "trained")
        return self._finish(config, state, setup.tokenizer, scores.reports)

    def _batches(self, config: TrainConfig, data: TrainingData, setup: Setup) -> Batches:
        """This process's part of the batches; adds lengths, padding and some pairs to the data report."""
        stored = tokenize_examples(config, data, setup.tokenizer, self.display)
        if distributed.is_first():
            self.storage.run.add_to_data_report(details_of(config, data, stored, part_of(self.mesh)))
        if setup.teacher is not None:
            teach(setup.teacher, data, self.display)
        return batches_of(config, stored, setup.teacher, self.mesh)

    def _finish(self, config: TrainConfig, state: TrainState, tokenizer: Any, reports: Reports) -> TrainResult:
        """Gathers the trained model; writes the results, the picture and the export."""
        run, params = self.storage.run, model_params(state.params)
        if jax.process_count() > 1:  # of what is split, each has a part
            params = jax.jit(lambda x: x, out_shardings=replicated(self.mesh))(params)
        params = jax.tree.map(np.asarray, jax.device_get(params))
        towers = towers_of(in_float32(config.model), params, tokenizer).map(Embedder.merged)
        step = int(state.step)
        with distributed.first_before_others("the export"):
            if distributed.is_first():
                if alignment_path(run):
                    self.display.headline(plot_alignment(run))
                run.save_results(step, None, reports)
                if config.export.enabled:
                    self._export(config, towers)
                    run.save_results(step, step, reports)
        return TrainResult(towers, run.path, _export_dir(config, run), reports)

    def _export(self, config: TrainConfig, towers: Towers) -> None:
        run = self.storage.run
        self.display.headline("exporting, reloading and comparing")
        # The export of a shorter run that was continued gives way.
        report = huggingface.export(
            towers, run.export, card=card_of(run.path), verify=config.export.verify, replace=True
        )
        self.display.headline(f"exported to {run.export}: {report}")


def _finished(config: TrainConfig, run: RunDirectory) -> TrainResult:
    """What a run that has ended left behind."""
    results = run.load_results()
    reports = Reports() if results is None else results.reports
    towers = load_towers(run.path).map(Embedder.merged)
    return TrainResult(towers, run.path, _export_dir(config, run), reports)


def _export_dir(config: TrainConfig, run: RunDirectory) -> Path | None:
    return run.export if config.export.enabled else None


def _devices(mesh: jax.sharding.Mesh) -> str:
    plural = "s" * (mesh.size > 1)
    shape = f"mesh data={mesh.shape['data']} fsdp={mesh.shape['fsdp']}"
    return f"{mesh.size} {jax.devices()[0].device_kind} device{plural}, {shape}"


def _name(objective: Objective | None) -> str | None:
    """The name of an objective that was passed to `train`."""
    if objective is None:
        return None
    return f"{objective.__module__}.{getattr(objective, '__qualname__', type(objective).__name__)}"
