"""The run directory: its layout, and when a run may start or resume in it."""

import contextlib
import difflib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.config.explicit import flat
from jaxemb.data.order import order
from jaxemb.errors import UsageError, UserError
from jaxemb.files import is_partial, lock_exclusively, remove_partial, write_atomically
from jaxemb.runs import random_bits
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.results import Reports, Results, reports_from_json

MAY_CHANGE_ON_RESUME = (
    "output_dir", "mesh", "training.steps", "training.epochs", "training.log_every", "training.evaluate_every",
    "training.checkpoint_every", "training.keep_checkpoints", "training.best_metric", "export",
    "training.skip_not_finite", "data.prepared", "data.root", "data.cache_dir", "data.workers",
)  # fmt: skip
_RANDOM_BITS = "# random bits: version "
_ORDER = "# order of the examples: version "
_OWN_OBJECTIVE = "# trained with an objective passed to jaxemb.train, not with the one below: "


class RunDirectory:
    """Paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.checkpoints = path / "checkpoints"
        self.tokenizer = path / "tokenizer"
        self.export = path / "export"
        self.data_report = path / "data_report.json"
        self.results = path / "results.json"
        self.metrics = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self.profile = path / "profile"
        self.not_finite = path / "not_finite.json"
        self.alignment_plot = path / "plots" / "alignment_uniformity.svg"

    def exists(self) -> bool:
        """Whether a run was started here; a `config.yaml` that no run has written does not count."""
        return config_files.is_resolved(self.config)

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending, without any that a killed process left half deleted."""
        parts = ("_CHECKPOINT_METADATA", "params", "opt_state")
        paths = [path for path in self.checkpoints.glob("*") if path.name.isdigit()]
        return sorted(int(path.name) for path in paths if all((path / part).exists() for part in parts))

    def scores(self, metric: str) -> dict[int, float]:
        """The held-out metric of each step that was evaluated, from `metrics.jsonl`."""
        found = {}
        if self.metrics.is_file():
            for line in read_metrics(self.metrics):
                if (name := f"evaluation/{metric}") in line:
                    found[line["step"]] = line[name]
        return found

    def best_score(self) -> dict[str, float]:
        """`best METRIC` of the states that were scored every `training.evaluate_every` steps; empty without that."""
        config = self.load_config()
        scored = [score for step, score in self.scores(config.best_metric).items() if step]
        return {f"best {config.best_metric}": max(scored)} if scored and config.training.evaluate_every else {}

    def best_step(self) -> int:
        """The step of the checkpoint with the highest `best_metric`; the latest one if several are equal.

        Raises:
          UserError: if no checkpoint was evaluated.
        """
        scores = self.scores(self.load_config().best_metric)
        best = best_of(self.steps, scores)
        if best is None:
            raise UserError(
                f"{self.path}: no checkpoint was evaluated, so none is the best; set training.evaluate_every"
            )
        return best

    def is_finished(self, config: TrainConfig) -> bool:
        """Whether all steps of `config` are done, scored and exported."""
        results, newest = self.load_results(), max(self.steps, default=None)
        if results is None or newest is None or newest != results.step or newest < config.training.steps:
            return False
        return not config.export.enabled or (results.exported == newest and self.export.is_dir())

    @contextlib.contextmanager
    def locked(self, resume: bool) -> Iterator[None]:
        """Creates the directory, checks that a run may start here, and locks it against other processes.

        Raises:
          UsageError: if it contains a run and `resume` is False, or other files, or it is in use or cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file; choose another --output-dir")
        if self.exists() and not resume:
            raise UsageError(
                f"{self.path} holds a run already: continue it with --resume, or choose another --output-dir"
            )
        lock = self.path / ".lock"
        others = [p for p in self.path.iterdir() if p != lock and not is_partial(p)] if self.path.is_dir() else []
        if others and not self.exists():
            raise UsageError(f"{self.path} is not empty and holds no run: choose another --output-dir")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = lock.open("a")
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --output-dir"
            ) from None
        with file:
            lock_exclusively(file, f"{self.path}: another process is training in it; wait for it or stop it")
            remove_partial(self.path)
            yield

    def clear(self) -> None:
        """Removes the files of a run that ended before its first checkpoint."""
        for path in (self.metrics, self.results, self.data_report, self.not_finite):
            path.unlink(missing_ok=True)
        for path in (
            self.tokenizer,
            self.tensorboard,
            self.checkpoints,
            self.export,
            self.alignment_plot.parent,
            self.profile,
        ):
            shutil.rmtree(path, ignore_errors=True)

    def save_config(self, config: TrainConfig, objective: str | None) -> None:
        """Writes the resolved config; `objective` is the name of an objective that was passed to `jaxemb.train`."""
        note = "" if objective is None else f"{_OWN_OBJECTIVE}{objective}\n"
        versions = f"{_RANDOM_BITS}{random_bits.VERSION}\n{_ORDER}{order.VERSION}\n"
        write_atomically(self.config, config_files.dump_resolved(config, note + versions))

    def objective_note(self) -> str:
        """The comment line of `config.yaml` about an objective that was passed to `jaxemb.train`; empty without one."""
        line = self.config.read_text(encoding="utf-8").removeprefix(config_files.RESOLVED).split("\n", 1)[0]
        return line + "\n" if line.startswith(_OWN_OBJECTIVE) else ""

    def random_bits(self) -> int:
        """The version of the random numbers of the run; 1 if none is recorded."""
        return self._version(_RANDOM_BITS)

    def _version(self, comment: str) -> int:
        """The version in a comment line of `config.yaml`; 1 if it is not there."""
        found = re.search(rf"^{comment}(\d+)$", self.config.read_text(encoding="utf-8"), re.MULTILINE)
        return int(found[1]) if found else 1

    def check_same_order(self, config: TrainConfig) -> None:
        """Raises UsageError if steps are left, and the run took its examples in another order than this release."""
        if self.steps[-1] < config.training.steps and (version := self._version(_ORDER)) != order.VERSION:
            raise UsageError(
                f"{self.path}: the run to resume took its examples in an order (version {version}) that this release "
                f"does not have (but version {order.VERSION}): finish the run with the release that began it, or start "
                "a new one, with `model.init_from` from its export if there is one"
            )

    def add_to_data_report(self, more: Mapping[str, Any]) -> None:
        """Writes more entries into `data_report.json`: `cut`, `lengths`, `padding`, `pairs`."""
        report = json.loads(self.data_report.read_text(encoding="utf-8")) | more
        write_atomically(self.data_report, json.dumps(report, indent=1, ensure_ascii=False))

    def load_config(self) -> TrainConfig:
        """Reads the resolved config.

        Raises:
          UsageError: if there is none, or it is damaged.
        """
        if not self.exists():
            near = [p.name for p in self.path.parent.iterdir()] if self.path.parent.is_dir() else []
            hint = difflib.get_close_matches(self.path.name, near, n=1)
            raise UsageError(
                f"{self.path}: no run here (no config.yaml)" + (f"; did you mean {hint[0]}?" if hint else "")
            )
        return config_files.validate_file(self.config)

    def load_results(self) -> Results | None:
        """Reads `results.json`, if it exists."""
        if not self.results.is_file():
            return None
        values = json.loads(self.results.read_text(encoding="utf-8"))
        return Results(values["step"], values["exported"], reports_from_json(values))

    def save_results(self, step: int | None, exported: int | None, reports: Reports) -> None:
        """Writes `results.json`: the steps of `trained` and of the export, and each system's scores."""
        values = {"step": step, "exported": exported, **reports.to_json()}
        write_atomically(self.results, json.dumps(values, indent=1, ensure_ascii=False))

    def check_same_run(self, config: TrainConfig, objective: str | None) -> None:
        """Compares the config of a resumed run with the saved one.

        Raises:
          UsageError: if keys differ that must not; the message names them.
        """
        loaded = self.load_config()
        local = "local" in (getattr(one, "negatives", None) for one in loaded.trained_objectives.values())
        free = [key for key in MAY_CHANGE_ON_RESUME if key != "mesh" or not local]
        saved, now = flat(loaded.model_dump(mode="json")), flat(config.model_dump(mode="json"))
        changed = [
            f"  {key}: {saved.get(key)!r} in the run, {now.get(key)!r} now"
            for key in sorted(saved.keys() | now.keys())
            if saved.get(key) != now.get(key) and not any(key == name or key.startswith(name + ".") for name in free)
        ]
        then = self.objective_note().removeprefix(_OWN_OBJECTIVE).strip() or None
        if then != objective:
            own = "the config's own"
            changed.append(f"  objective: {then or own} in the run, {objective or own} now")
        if self.steps[-1] > config.training.steps:
            changed.append(f"  training.steps: {self.steps[-1]} are done, {config.training.steps} now")
        if changed:
            raise UsageError(
                f"{self.path}: the run to resume has another config:\n" + "\n".join(changed) + "\n"
                f"These may change on --resume: {', '.join(free)}"
            )

    def check_same_data(self, report: dict[str, Any]) -> None:
        """Compares the training pairs of a resumed run with those that it started with.

        Raises:
          UsageError: if they are not the same, in the same order.
        """
        saved = json.loads(self.data_report.read_text(encoding="utf-8"))
        if saved["train_hash"] != report["train_hash"]:
            raise UsageError(
                f"{self.path}: the run to resume was trained on other examples: {saved['totals']['train']:,} in the "
                f"run, {report['totals']['train']:,} now; restore the files it was trained on, or start a new run"
            )


def best_of(steps: Iterable[int], scores: Mapping[int, float]) -> int | None:
    """The step with the highest score, the latest one if several are equal; None if no step has a score."""
    return max((step for step in steps if step in scores), key=lambda step: (scores[step], step), default=None)


def steps_to_keep(steps: Iterable[int], keep: int, scores: Mapping[int, float]) -> set[int]:
    """The newest `keep` of the steps, and the best one."""
    steps = sorted(steps)
    best = best_of(steps, scores)
    return {*steps[-keep:], *([] if best is None else [best])}
