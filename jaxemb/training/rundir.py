"""The run directory: what lies where, and when a run may start or go on in it."""

import difflib
from pathlib import Path
from typing import Any

from jaxemb import config_io
from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.files import write_atomically

MAY_CHANGE_ON_RESUME = ("output_dir", "mesh", "training.steps", "training.log_every", "training.evaluate_every",
                        "training.checkpoint_every", "training.keep_checkpoints", "export", "evaluation",
                        "data.root", "data.cache_dir", "data.workers")  # fmt: skip


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

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config.is_file()

    def is_finished(self, config: TrainConfig) -> bool:
        """Whether all steps of `config` are taken, scored and exported."""
        steps = [int(path.name) for path in self.checkpoints.glob("*") if path.name.isdigit()]
        exported = self.export.is_dir() or not config.export.enabled
        return max(steps, default=0) >= config.training.steps and self.results.exists() and exported

    def begin(self, resume: bool) -> None:
        """Checks that a run may start here.

        Raises:
          UsageError: if the directory holds a run and `resume` is False, or something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file; choose another --output-dir")
        if self.exists() and not resume:
            raise UsageError(
                f"{self.path} holds a run already: continue it with --resume, or choose another --output-dir"
            )
        if self.path.is_dir() and any(self.path.iterdir()) and not self.exists():
            raise UsageError(f"{self.path} is not empty and holds no run: choose another --output-dir")

    def save_config(self, config: TrainConfig) -> None:
        """Writes the resolved config."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, config_io.dump(config))

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

    def check_same_run(self, config: TrainConfig) -> None:
        """Compares the config of a resumed run with the saved one.

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
        if changed:
            raise UsageError(
                f"{self.path}: the run to resume has another config:\n" + "\n".join(changed) + "\n"
                f"What may change on --resume: {', '.join(MAY_CHANGE_ON_RESUME)}"
            )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict) and values:
        return {k: v for name, value in values.items() for k, v in _flat(value, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): values}
