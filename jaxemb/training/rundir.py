"""The run directory: what lies where, and when a run may start or go on in it."""

import difflib
import json
import shutil
from pathlib import Path
from typing import Any

from jaxemb import config_io
from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.files import remove_partial, write_atomically

MAY_CHANGE_ON_RESUME = ("output_dir", "mesh", "training.steps", "training.log_every", "training.evaluate_every",
                        "training.checkpoint_every", "training.keep_checkpoints", "export", "evaluation",
                        "data.root", "data.cache_dir", "data.workers")  # fmt: skip
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

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config.is_file()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(int(path.name) for path in self.checkpoints.glob("*") if path.name.isdigit())

    def is_finished(self, config: TrainConfig) -> bool:
        """Whether all steps of `config` are taken, scored and exported."""
        results = self.load_results()
        scored = results is not None and results["step"] == max(self.steps, default=None)
        return (
            scored and self.steps[-1] >= config.training.steps and (self.export.is_dir() or not config.export.enabled)
        )

    def begin(self, resume: bool) -> None:
        """Makes the directory and checks that a run may start here.

        Raises:
          UsageError: if it holds a run and `resume` is False, or something else, or cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file; choose another --output-dir")
        if self.exists() and not resume:
            raise UsageError(
                f"{self.path} holds a run already: continue it with --resume, or choose another --output-dir"
            )
        if self.path.is_dir():
            remove_partial(self.path)
            if any(self.path.iterdir()) and not self.exists():
                raise UsageError(f"{self.path} is not empty and holds no run: choose another --output-dir")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --output-dir"
            ) from None

    def clear(self) -> None:
        """Removes what a run that ended before its first checkpoint left."""
        for path in (self.metrics, self.results, self.data_report):
            path.unlink(missing_ok=True)
        for path in (self.tokenizer, self.tensorboard, self.checkpoints):
            shutil.rmtree(path, ignore_errors=True)

    def save_config(self, config: TrainConfig, objective: str | None) -> None:
        """Writes the resolved config; `objective` names one that was passed to `jaxemb.train`."""
        note = "" if objective is None else f"{_OWN_OBJECTIVE}{objective}\n"
        write_atomically(self.config, note + config_io.dump(config))

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
        return config_io.validate(TrainConfig, config_io.read_yaml(self.config), str(self.config))

    def load_results(self) -> dict[str, Any] | None:
        """`results.json`: the step that `trained` belongs to (null before the end) and each system's scores."""
        return json.loads(self.results.read_text(encoding="utf-8")) if self.results.is_file() else None

    def check_same_run(self, config: TrainConfig, objective: str | None) -> None:
        """Compares a resumed run with the saved one.

        Raises:
          UsageError: naming the keys that differ and may not.
        """
        saved, now = _flat(self.load_config().model_dump(mode="json")), _flat(config.model_dump(mode="json"))
        changed = [
            f"  {key}: {saved.get(key)!r} in the run, {now.get(key)!r} now"
            for key in sorted(saved.keys() | now.keys())
            if saved.get(key) != now.get(key)
            and not any(key == free or key.startswith(free + ".") for free in MAY_CHANGE_ON_RESUME)
        ]
        own = self.config.read_text(encoding="utf-8").startswith(_OWN_OBJECTIVE)
        if own != (objective is not None):
            changed.append(
                "  objective: passed to jaxemb.train "
                + ("in the run, the config's own now" if own else "now, the config's own in the run")
            )
        if changed:
            raise UsageError(
                f"{self.path}: the run to resume has another config:\n" + "\n".join(changed) + "\n"
                f"What may change on --resume: {', '.join(MAY_CHANGE_ON_RESUME)}"
            )

    def check_same_data(self, report: dict[str, Any]) -> None:
        """Compares the training pairs of a resumed run with those it began with.

        Raises:
          UsageError: if they are not the same, in the same order.
        """
        saved = json.loads(self.data_report.read_text(encoding="utf-8"))
        if saved["train_hash"] != report["train_hash"]:
            raise UsageError(
                f"{self.path}: the run to resume was trained on other pairs: {saved['totals']['train']:,} in the run, "
                f"{report['totals']['train']:,} now, and not the same; bring its files back, or start a new run"
            )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict) and values:
        return {k: v for name, value in values.items() for k, v in _flat(value, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): values}
