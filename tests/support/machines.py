"""Machines that train one run behind a URL, each with a mirror of its own, and a store that fails."""

import hashlib
import json
import shutil

from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.config import TrainConfig
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.storage.mirror import mirror
from jaxemb.runs.storage.remote import RemoteStorage
from jaxemb.runs.storage.store import Store
from jaxemb.signals import StopRequest

URL = "memory://bucket/run"


def contents(bucket):
    """All objects."""
    return {path: bytes(bucket.cat_file(path)) for path in bucket.find("/bucket")}


def fill(bucket, objects):
    """Makes these all objects."""
    MemoryFileSystem.store.clear()
    for path, content in objects.items():
        bucket.pipe_file(path, content)


class Machine:
    """A machine with a mirror of its own; what it trains is a few small files."""

    def __init__(self, folder, url=URL, keep=1):
        self.url = url
        self.config = TrainConfig.model_validate(
            {
                "output_dir": url,
                "data": {"root": ".", "sources": ({"kind": "tsv", "path": "x.tsv"},), "cache_dir": str(folder)},
                "training": {"steps": 4, "keep_checkpoints": keep},
            }
        )
        self.stop = StopRequest()

    def storage(self, say=lambda line: None):
        return RemoteStorage(self.config, say, self.stop)

    def train(self, *steps, resume=True, begun=lambda run: None, after_step=lambda run: None, say=lambda line: None):
        """Takes steps, a checkpoint each, and exports."""
        storage = self.storage(say)
        with storage.opened(resume):
            run = storage.run
            if not run.exists():
                run.save_config(self.config, None)
                run.tokenizer.mkdir()
                (run.tokenizer / "tokenizer.json").write_text("words")
            storage.begin()
            begun(run)
            for step in steps:
                take(run, step)
                after_step(run)
            shutil.rmtree(run.export, ignore_errors=True)
            run.export.mkdir()
            (run.export / "model.safetensors").write_text(f"export of {steps[-1]}")
            run.results.write_text(json.dumps({"step": steps[-1]}))


def take(run, step):
    """A step with its checkpoint, as Orbax keeps one."""
    with run.metrics.open("a") as lines:
        lines.write(json.dumps({"step": step}) + "\n")
    partial = run.checkpoints / f"{step}.being-written"
    for part in ("params", "opt_state"):
        (partial / part).mkdir(parents=True)
        (partial / part / "d").write_text(f"{part} of {step}")
    (partial / "_CHECKPOINT_METADATA").write_text("whole")
    partial.rename(run.checkpoints / str(step))
    for old in run.steps[:-1]:
        shutil.rmtree(run.checkpoints / str(old))


def seen(folder, url=URL):
    """What another machine reads: the step, and that of the export."""
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(url)
    mirror(store, store.units(), folder, lambda line: None)
    run = RunDirectory(folder)
    if not run.exists():
        return None, None
    assert (run.tokenizer / "tokenizer.json").read_text() == "words"
    step = max(run.steps, default=None)
    if step is not None:
        for part in ("params", "opt_state"):
            assert (run.checkpoints / str(step) / part / "d").read_text() == f"{part} of {step}"
        assert max(json.loads(line)["step"] for line in run.metrics.read_text().splitlines()) >= step
    exported = run.export / "model.safetensors"
    return step, int(exported.read_text().removeprefix("export of ")) if exported.exists() else None


def assert_what_is_committed_is_whole(bucket):
    """Whatever has a manifest."""
    for unit in Store(URL).units().values():
        for one in unit.files.values():
            assert hashlib.sha256(bucket.cat_file(f"/bucket/run/{one.name}")).hexdigest() == one.sha256


class Crash(BaseException):
    """Nobody catches it: as `kill -9`."""


class Faults:
    """Counts what is written to the store in memory, removals included; from the write `at` on all fail."""

    def __init__(self, monkeypatch):
        self.writes, self.at, self.error, self.cut = 0, None, OSError("the network is down"), False
        for name in ("pipe_file", "put_file", "rm_file"):
            monkeypatch.setattr(MemoryFileSystem, name, self._counted(getattr(MemoryFileSystem, name)))

    def _counted(self, write):
        def counted(fs, path, *rest, **options):
            self.writes += 1
            if self.at is None or self.writes < self.at:
                return write(fs, path, *rest, **options)
            if self.cut and self.writes == self.at and write.__name__ == "pipe_file":
                write(fs, path, rest[0][: len(rest[0]) // 2])
            raise self.error

        return counted


def goes_on_from(step):
    def begun(run):
        assert run.steps == [step]

    return begun


def committed(step):
    return f"checkpoints/{step}" in Store(URL).units()
