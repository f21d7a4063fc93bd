"""One training run from config to export: data, tokenizer, model, loop, evaluation, Hugging Face folder."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb import distributed, huggingface, objectives
from jaxemb.config import CustomObjective, DistillationObjective, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import PreparedData, train_tokenizer, with_normalizer
from jaxemb.encoding import Embedder, Towers, towers_of
from jaxemb.errors import UsageError
from jaxemb.files import atomic_directory, write_atomically
from jaxemb.loading import load_towers, pinned, pinned_as
from jaxemb.models import Params, embedding_size, in_float32
from jaxemb.models.paths import model_params
from jaxemb.objectives import Objective
from jaxemb.objectives.parameters import init_params, with_merged_adapters
from jaxemb.parallel import make_mesh, replicated
from jaxemb.reporting.display import Display
from jaxemb.reporting.model_card import card_of
from jaxemb.reporting.plots import plot_alignment
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.random_bits import changed_since
from jaxemb.runs.result import TrainResult
from jaxemb.runs.results import Reports
from jaxemb.runs.storage import storage_of
from jaxemb.runs.trackers import MetricsWriter, NoMetrics
from jaxemb.signals import StopRequest
from jaxemb.training import optimizer as optimizers
from jaxemb.training.freezing import Select, select_trained
from jaxemb.training.inputs import batches_of, prepare_examples, tokenize_examples
from jaxemb.training.loop import count_parameters, run_loop
from jaxemb.training.parameters import params_to_start_from
from jaxemb.training.resolve import (
    check_batch,
    check_init_from,
    check_teacher,
    check_width,
    preflight,
    read_config,
    resolve,
    with_projection,
    with_steps,
)
from jaxemb.training.scoring import Scores
from jaxemb.training.stacking import stack_state
from jaxemb.training.step import abstract_state, init_state, make_train_step
from jaxemb.training.teacher import Teacher, load_teacher


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
      objective: `(params, batch, key) -> (loss, metrics)` in place of the config's own. `loss` is a scalar over the
        global batch; `batch` holds `anchor` and `positive` (`models.Tokens`, for `models.apply`: packed, or padded if
        there are `data.length_buckets`), `anchor_hash` and `positive_hash` (uint32 [B, 2]), `id` (uint32 [B]) and
        `weight` (float32 [B]); and where the sources give them (`objective: {kind: custom}` takes any) hard negatives
        (`negative`, `negative_1`, ...), `label` (int32 [B]) and `score` (float32 [B]). Of untied towers `params` holds
        those of `anchor` and those of `positive`. It runs under `jit` with the batch split over the devices: plain
        `jax.numpy` over the whole batch is right.
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
    if isinstance(config.objective, CustomObjective) and objective is None:
        raise UsageError("objective.kind: custom is a function passed to jaxemb.train(config, objective=...)")
    preflight(config)
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, devices)
    check_batch(config, mesh.size)
    with StopRequest() as stop:
        return _Run(config, objective, mesh, stop, Display(quiet), profile).train(resume)


class _Run:
    """One run in its directory, started or resumed."""

    def __init__(
        self,
        config: TrainConfig,
        objective: Objective | None,
        mesh: jax.sharding.Mesh,
        stop: StopRequest,
        display: Display,
        profile: int,
    ) -> None:
        self.profile = profile
        self.config, self.objective, self.mesh, self.stop, self.display = config, objective, mesh, stop, display
        self.storage = storage_of(config, display.headline, stop)
        self.run = self.storage.run
        self.objective_name = None if objective is None else _name(objective)

    def train(self, resume: bool) -> TrainResult:
        """Trains, evaluates and exports."""
        distributed.check_same("the config", config_files.dump(self.config))
        with self.storage.opened(resume):
            return self._train()

    def _train(self) -> TrainResult:
        run, mesh, say = self.run, self.mesh, self.display.headline
        devices = f"{mesh.size} {jax.devices()[0].device_kind} device{'s' * (mesh.size > 1)}"
        say(f"run directory {self.storage}, {devices}, mesh data={mesh.shape['data']} fsdp={mesh.shape['fsdp']}")
        resumed, start_from = bool(run.steps), None
        if resumed:
            tokenizer, data = self._continue()
            if data is None:
                say(f"nothing to do: all {self.config.training.steps} steps are taken, scored and exported")
                return self._finished()
            teacher = load_teacher(self.config)
            if teacher is not None:
                check_teacher(self.config.model, teacher.width)
        else:
            teacher = self._teacher()
            if self.config.model.init_from:
                self._init_from(pinned(self.config.model.init_from))
                start_from = load_towers(self.config.model.init_from, allow=self.config.model.init_allow)
                start_from = start_from.map(Embedder.merged)
                check_init_from(self.config.model, start_from)
                if teacher is not None and not self.config.model.new_head:
                    check_width(start_from.anchor.config, teacher.width)
            tokenizer, data = self._start(start_from)
        self.storage.begin()
        config = self.config
        tokenized = tokenize_examples(config, data, tokenizer, self.display)
        if distributed.is_first():
            run.save_cut(tokenized.cut)
        batches = batches_of(config, data, tokenized, teacher, mesh, self.display)
        optimizer = optimizers.build(config.optimizer, config.training.steps)
        trained = select_trained(config)
        best = partial(run.scores, config.best_metric)
        with Checkpoints(run.checkpoints, config.training.keep_checkpoints, best) as checkpoints:
            if resumed:
                shapes = jax.eval_shape(partial(init_params, config.at_step(run.steps[-1])), jax.random.key(0))
                state = checkpoints.restore(abstract_state(shapes, optimizer, mesh, trained))
                say(f"resuming after step {int(state.step)}")
            else:
                params = params_to_start_from(config.at_step(0), mesh, start_from)
                state = init_state(params, optimizer, mesh, trained)
                del start_from, params  # the former's lie on one device
            epochs = config.training.steps * config.training.batch_size / len(data.train)
            say(
                f"model of {_count(state.params, trained)}, {config.training.steps:,} steps of "
                f"{config.training.batch_size} examples ({epochs:.1f} epochs, "
                f"{batches.padding_share():.0%} of the tokens padding)"
            )
            if config.model.table_rows % mesh.shape["fsdp"]:
                say(
                    f"mesh.fsdp does not divide the {config.model.table_rows:,} rows of the table of words, which each "
                    "step gathers therefore: set model.vocab_multiple to a multiple of mesh.fsdp in a new run"
                )
            first = distributed.is_first()
            with MetricsWriter(run.metrics, run.tensorboard, int(state.step)) if first else NoMetrics() as writer:
                scores = Scores(config, tokenizer, data, run, writer, self.display, teacher)
                if resumed:
                    scores.load()
                else:
                    scores.score_before(state)
                for layers, until in config.stages:
                    if int(state.step) >= until:
                        continue
                    if layers != config.at_step(int(state.step)).model.encoder.num_hidden_layers:
                        say(f"stacking the layers of the encoder: {layers} of them from here on")
                        stacking = config.training.stacking
                        reset = stacking is not None and stacking.optimizer_state == "reset"
                        state = stack_state(state, layers, optimizer, mesh, trained=trained, reset=reset)
                    state = run_loop(
                        config,
                        state,
                        make_train_step(
                            self._loss(until, tokenizer),
                            optimizer,
                            mesh,
                            state,
                            config.training.seed,
                            trained,
                            skip_not_finite=config.training.skip_not_finite > 0,
                        ),
                        batches.stream(int(state.step), until),
                        mesh,
                        until=until,
                        shapes=len(batches.sizes),
                        checkpoints=checkpoints,
                        writer=writer,
                        display=self.display,
                        stop=self.stop,
                        evaluate=scores.score,
                        profile=self.profile,
                    )
                    self.profile = 0  # once is enough
                scores.score(state, "trained")
        params = model_params(state.params)
        if jax.process_count() > 1:  # of what is split, each has a part
            params = jax.jit(lambda x: x, out_shardings=replicated(mesh))(params)
        params = jax.tree.map(np.asarray, jax.device_get(params))
        towers = towers_of(in_float32(config.model), params, tokenizer).map(Embedder.merged)
        with distributed.first_before_others("the export"):
            if first:
                self._finish(towers, int(state.step), scores.reports)
        export_dir = run.export if config.export.enabled else None
        return TrainResult(towers, run.path, export_dir, scores.reports.heldout, scores.reports.sts)

    def _finish(self, towers: Towers, step: int, reports: Reports) -> None:
        """Writes the results, the picture and the export."""
        if self.config.evaluation.sts is not None and self.config.evaluation.sts.alignment:
            self.display.headline(plot_alignment(self.run))
        self.run.save_results(step, None, reports)
        if self.config.export.enabled:
            self._export(towers)
            self.run.save_results(step, step, reports)

    def _start(self, start_from: Towers | None) -> tuple[Any, PreparedData]:
        """The tokenizer and the data of a new run; writes what the run directory says of them."""
        config, run = self.config, self.run
        tokenizer, base = None, None if start_from is None else start_from.anchor
        if base is not None:
            tokenizer = base.tokenizer
        elif config.tokenizer.path is not None:
            tokenizer = huggingface.load_tokenizer(Path(config.tokenizer.path).expanduser())
        if tokenizer is not None:  # refuses before the data are read
            tokenizer = with_normalizer(tokenizer)
            if unused := sorted(config.tokenizer.model_fields_set - {"path"}):
                whose = "model.init_from" if base is not None else "tokenizer.path"
                names = ", ".join(f"tokenizer.{name}" for name in unused)
                self.display.headline(f"not used, as {whose} brings a tokenizer: {names}")
            config = resolve(config, None if base is None else base.config, tokenizer)
            select_trained(config)
        data = prepare_examples(self.config, self.display)
        config = with_steps(config, len(data.train))
        first, has_none = distributed.is_first(), tokenizer is None
        with distributed.first_before_others("the vocabulary"):
            if has_none and first:
                self.display.headline(f"training a WordPiece vocabulary of {config.tokenizer.vocab_size:,}")
                tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, config.training.seed)
            elif has_none:
                tokenizer = huggingface.load_tokenizer(run.tokenizer)
            self.config = resolve(config, None, tokenizer) if has_none else config
            if first:
                run.clear()
                run.save_config(self.config, self.objective_name)
                write_atomically(run.data_report, json.dumps(data.report, indent=1, ensure_ascii=False))
                with atomic_directory(run.tokenizer) as folder:
                    huggingface.save_tokenizer(tokenizer, folder)
            else:
                run.check_same_data(data.report)
        return tokenizer, data

    def _continue(self) -> tuple[Any, PreparedData | None]:
        """The tokenizer and the data of a run that goes on; no data if it has nothing left to do."""
        run = self.run
        tokenizer = huggingface.load_tokenizer(run.tokenizer)
        saved = run.load_config()
        self._init_from(pinned_as(self.config.model.init_from, saved.model.init_from))
        objective, then = self.config.objective, saved.objective
        if isinstance(objective, DistillationObjective) and isinstance(then, DistillationObjective):
            self._learn_from(objective, pinned_as(objective.teacher, then.teacher))
            self._project(embedding_size(saved.model))  # a run that is finished needs no teacher
        config = self.config
        # `model.init_from` need not be there any more: the run knows its architecture.
        config = resolve(config, saved.model if config.model.init_from else None, tokenizer)
        data = None
        if config.training.epochs is not None and config.training.epochs == saved.training.epochs:
            training = config.training.model_copy(update={"steps": saved.training.steps})
            config = config.model_copy(update={"training": training})
        elif config.training.epochs is not None:
            data = prepare_examples(self.config, self.display)
            config = with_steps(config, len(data.train))
        self.config = config
        run.check_same_run(config, self.objective_name)
        if run.is_finished(config):
            return tokenizer, None
        data = data or prepare_examples(self.config, self.display)
        run.check_same_data(data.report)
        if (changed := changed_since(run.random_bits(), config)) is not None:
            self.display.headline(
                f"this run began with an older jaxemb, whose random numbers of {changed} were others: from here on its "
                "masks differ from those that it would have drawn (see CHANGELOG.md); it goes on all the same"
            )
        if distributed.is_first():
            run.save_config(config, self.objective_name)
        return tokenizer, data

    def _teacher(self) -> Teacher | None:
        """The teacher of a new distillation; the student's embeddings become as wide as its own."""
        if isinstance(self.config.objective, DistillationObjective):
            self._learn_from(self.config.objective, pinned(self.config.objective.teacher))
        teacher = load_teacher(self.config)
        if teacher is not None:
            self._project(teacher.width)
        return teacher

    def _learn_from(self, objective: DistillationObjective, teacher: str | None) -> None:
        """Sets `objective.teacher`: a name of the Hub is recorded with its commit."""
        chosen = objective.model_copy(update={"teacher": teacher})
        self.config = self.config.model_copy(update={"objective": chosen})

    def _project(self, width: int) -> None:
        """Brings a student that has no head of its own to its teacher's width."""
        if self.config.model.init_from is None or self.config.model.new_head:
            self.config = with_projection(self.config, width)

    def _init_from(self, model: str | None) -> None:
        """Sets `model.init_from`: a name of the Hub is recorded with its commit."""
        if model == self.config.model.init_from:
            return  # what nobody gave does not become given
        chosen = self.config.model.model_copy(update={"init_from": model})
        self.config = self.config.model_copy(update={"model": chosen})

    def _loss(self, until: int, tokenizer: Any) -> Objective:
        """The objective of the stage that ends with step `until`."""
        model = self.config.at_step(until).model
        loss = self.objective or objectives.build(self.config.objective, model, self.mesh, tokenizer)
        if model.lora is None:
            return loss
        # Merged once a step, whatever the objective does with them.
        return lambda params, batch, key: loss(with_merged_adapters(model, params), batch, key)

    def _export(self, towers: Towers) -> None:
        self.display.headline("exporting, reloading and comparing")
        card = card_of(self.run.path)
        # The export of a shorter run that was continued gives way.
        report = huggingface.export(towers, self.run.export, card=card, verify=self.config.export.verify, replace=True)
        self.display.headline(f"exported to {self.run.export}: {report}")

    def _finished(self) -> TrainResult:
        results = self.run.load_results()
        reports = Reports() if results is None else results.reports
        export_dir = self.run.export if self.config.export.enabled else None
        towers = load_towers(self.run.path).map(Embedder.merged)
        return TrainResult(towers, self.run.path, export_dir, reports.heldout, reports.sts)


def _count(params: Params, trained: Select) -> str:
    count, of_them = count_parameters(params), count_parameters(trained(params))
    note = "" if count == of_them else f" ({of_them:,} of them trained)"
    return f"{count / 1e6:.1f}M parameters{note}"


def _name(objective: Objective) -> str:
    return f"{objective.__module__}.{getattr(objective, '__qualname__', type(objective).__name__)}"
