"""Runs behind a URL: what a reader sees whenever an upload fails, and what another machine goes on from."""

import hashlib
import json
import re
import shutil
import threading

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.config import TrainConfig
from jaxemb.errors import CannotWrite, Stopped, UsageError, UserError
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.storage import remote, store
from jaxemb.runs.storage.mirror import mirror
from jaxemb.runs.storage.remote import RemoteStorage
from jaxemb.runs.storage.store import Store, Taken
from jaxemb.runs.storage.units import NotAManifest, Object, Unit, unit_of
from jaxemb.signals import StopRequest
from support.runs import wait_for

URL = "memory://bucket/run"


@pytest.fixture(autouse=True)
def bucket(monkeypatch):
    """An empty store in memory, and no waiting."""
    monkeypatch.setattr(store, "WAITS", ())
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return fsspec.filesystem("memory")


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


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


def test_at_every_write_a_reader_sees_the_old_or_the_new_whole(bucket, faults, tmp_path, monkeypatch):
    """One more checkpoint, and an export that replaces an older one."""
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 1e6)  # all is uploaded at the end
    Machine(tmp_path / "first").train(2, resume=False)
    before = contents(bucket)
    faults.writes = 0
    Machine(tmp_path / "whole").train(4)
    total, found = faults.writes, []
    assert total > 20
    for at in range(1, total + 1):
        fill(bucket, before)
        faults.writes, faults.at = 0, at
        faults.error = OSError("the network is down") if at % 3 else Crash()
        faults.cut = at % 2 == 0  # where a store writes in place
        machine = Machine(tmp_path / f"{at}")
        with pytest.raises((Crash, CannotWrite, UsageError)):
            machine.train(4)
        faults.at = None
        assert_what_is_committed_is_whole(bucket)
        found.append(seen(tmp_path / "seen"))
        # Whoever goes on, the machine or another, nothing of the failure is left.
        (machine if at % 4 < 2 else Machine(tmp_path / f"{at}-other")).train(6)
        assert seen(tmp_path / "seen") == (6, 6)
        lying = {path.split("/checkpoints/")[1] for path in contents(bucket) if "/checkpoints/" in path}
        assert lying == {"6/_CHECKPOINT_METADATA", "6/params/d", "6/opt_state/d", "6.json"}
    both = [found.count((2, 2)), found.count((4, None))]  # of step 4 the export comes with the last write
    assert found == [(2, 2)] * both[0] + [(4, None)] * both[1], "the old one, then the new one"
    assert min(both) > 5


@pytest.mark.parametrize("damage", ["another byte", "missing", "manifest cut off", "manifest changed"])
def test_a_damaged_checkpoint_gives_way_to_an_older_one(bucket, tmp_path, damage):
    for step in (2, 4):
        Machine(tmp_path / "first", keep=2).train(step, resume=step > 2)
    folder, manifest = "/bucket/run/checkpoints/4", "/bucket/run/_jaxemb/commits/checkpoints/4.json"
    if damage == "another byte":
        bucket.pipe_file(f"{folder}/params/d", b"params of 5")
    elif damage == "missing":
        bucket.rm_file(f"{folder}/opt_state/d")
    else:
        text = bucket.cat_file(manifest)
        changed = text.replace(b'"checkpoints/4/params/d": [', b'"checkpoints/4/params/e": [')
        assert changed != text
        bucket.pipe_file(manifest, text[:-40] if damage == "manifest cut off" else changed)
    lines = []
    Machine(tmp_path / "other", keep=2).train(4, say=lines.append)
    assert any("checkpoints/4 is left out: " in line for line in lines)
    assert seen(tmp_path / "seen") == (4, 4)
    assert_what_is_committed_is_whole(bucket)
    if damage == "missing":
        for step in (2, 4):
            bucket.rm_file(f"/bucket/run/checkpoints/{step}/params/d")
        with pytest.raises(UserError, match=r"checkpoints/4, checkpoints/2: damaged, and there is no other"):
            Machine(tmp_path / "third", keep=2).train(6)


def test_damaged_small_files_give_way_to_older_ones_and_are_written_anew(bucket, tmp_path):
    Machine(tmp_path / "first").train(2, resume=False)
    units = Store(URL).units()
    older, newest = [units[name].files for name in sorted(units) if name.startswith("states/")]
    for path in newest.keys() - older.keys():  # results.json, of the end
        bucket.pipe_file(f"/bucket/run/{newest[path].name}", b"x" * newest[path].size)
    with pytest.raises(AssertionError):
        assert_what_is_committed_is_whole(bucket)
    lines = []
    Machine(tmp_path / "other").train(4, say=lines.append)
    assert any("is left out: _jaxemb/files/" in line for line in lines)
    assert_what_is_committed_is_whole(bucket)
    assert seen(tmp_path / "seen") == (4, 4)
    for path in bucket.find("/bucket/run/_jaxemb/files"):
        bucket.rm_file(path)
    with pytest.raises(UserError, match="states/2, states/1: damaged, and there is no other"):
        Machine(tmp_path / "third").train(6)


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.01)


def goes_on_from(step):
    def begun(run):
        assert run.steps == [step]

    return begun


def committed(step):
    return f"checkpoints/{step}" in Store(URL).units()


def test_training_does_not_wait_and_the_newest_checkpoint_wins(bucket, quick_looks, tmp_path, monkeypatch):
    release, begun, put = threading.Event(), [], MemoryFileSystem.put_file

    def slow(fs, local, path, **options):
        if found := re.search(r"/checkpoints/(\d+)/params", path):
            begun.append(int(found[1]))
            assert release.wait(60)
        put(fs, local, path, **options)

    def trained(run):
        """Called after each step."""
        if run.steps == [2]:
            wait_for(lambda: begun)  # from here on its files are deleted while they are uploaded
        if run.steps == [8]:
            assert begun == [2]
            release.set()
            wait_for(lambda: committed(8))

    monkeypatch.setattr(MemoryFileSystem, "put_file", slow)
    lines = []
    Machine(tmp_path / "first").train(2, 4, 6, 8, resume=False, after_step=trained, say=lines.append)
    assert begun == [2, 8]
    assert lines == ["committed to memory://bucket/run"], "nothing failed"
    assert seen(tmp_path / "seen") == (8, 8)


def test_who_leaves_uploads_the_newest_checkpoint_alone(bucket, quick_looks, tmp_path, monkeypatch):
    release, names, put = threading.Event(), [], MemoryFileSystem.put_file

    def slow(fs, local, path, **options):
        names.append(path.removeprefix("/bucket/run/"))
        if names[-1] == "checkpoints/2/_CHECKPOINT_METADATA":
            assert release.wait(60)
        put(fs, local, path, **options)

    def trained(run):
        if run.steps == [2]:
            wait_for(lambda: "checkpoints/2/_CHECKPOINT_METADATA" in names)
        else:
            threading.Timer(0.5, release.set).start()  # when the run waits for its uploads

    monkeypatch.setattr(MemoryFileSystem, "put_file", slow)
    Machine(tmp_path / "first").train(2, 4, resume=False, after_step=trained)
    assert "checkpoints/2/params/d" not in names
    assert seen(tmp_path / "seen") == (4, 4)
    assert not bucket.find("/bucket/run/checkpoints/2")


def test_what_came_to_less_is_not_committed(bucket, tmp_path, monkeypatch):
    put = MemoryFileSystem.put_file

    def half(fs, local, path, **options):
        put(fs, local, path, **options)
        if path.endswith("/params/d"):
            fs.pipe_file(path, fs.cat_file(path)[:5])

    monkeypatch.setattr(MemoryFileSystem, "put_file", half)
    with pytest.raises(CannotWrite, match=r"checkpoints/2/params/d has 5 of 11 bytes there"):
        Machine(tmp_path / "first").train(2, resume=False)
    assert seen(tmp_path / "seen") == (None, None)


def test_small_files_that_somebody_removed_are_written_anew(bucket, tmp_path):
    machine = Machine(tmp_path / "first")
    machine.train(2, resume=False)
    for path in bucket.find("/bucket/run/_jaxemb/files"):
        bucket.rm_file(path)
    machine.train(4)
    machine.train(6)  # of the small files of one step only that one's scores are gone
    assert_what_is_committed_is_whole(bucket)
    assert seen(tmp_path / "seen") == (6, 6)


def test_small_files_that_change_are_committed_between_checkpoints(bucket, quick_looks, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "LOOKS_BETWEEN_STATES", 2)

    def trained(run):
        wait_for(lambda: committed(2))
        run.results.write_text('{"scores": 1}')
        name = f"_jaxemb/files/{hashlib.sha256(run.results.read_bytes()).hexdigest()}"
        wait_for(lambda: any(one.name == name for unit in Store(URL).units().values() for one in unit.files.values()))

    Machine(tmp_path / "first").train(2, resume=False, after_step=trained)
    assert len([name for name in Store(URL).units() if name.startswith("states/")]) < 10


def test_what_fails_is_told_and_tried_again(bucket, faults, quick_looks, tmp_path):
    machine, lines = Machine(tmp_path / "first"), []

    def trained(run):
        if run.steps == [2]:
            wait_for(lambda: any("step 2 is not committed yet" in line for line in lines))
            faults.at = None
        if run.steps == [4]:
            wait_for(lambda: committed(4))
            faults.writes, faults.at = 0, 1

    def begun(run):
        faults.writes, faults.at = 0, 1

    with pytest.raises(CannotWrite) as failed:
        machine.train(2, 4, 6, resume=False, begun=begun, after_step=trained, say=lines.append)
    run = machine.storage().run
    assert str(failed.value) == (
        "memory://bucket/run: cannot be written (OSError: the network is down). "
        f"The run lies whole in {run.path}: --resume on this machine goes on from there"
    )
    faults.at = None
    assert seen(tmp_path / "seen") == (4, None)
    assert run.steps == [6]
    machine.train(8, begun=goes_on_from(6))  # its own: nobody else has gone on
    assert seen(tmp_path / "seen") == (8, 8)


@pytest.mark.parametrize("down", [False, True])
def test_before_a_stopped_run_leaves_all_is_committed(bucket, faults, tmp_path, down):
    def leave(error):
        def trained(run):
            faults.writes, faults.at = 0, 1 if down else None
            raise error

        return trained

    stopped = Stopped("stopped after step 2", 75, together=True)
    with pytest.raises(CannotWrite if down else Stopped, match="The run lies whole" if down else "stopped after step"):
        Machine(tmp_path / "first").train(2, resume=False, after_step=leave(stopped))
    faults.at = None
    assert seen(tmp_path / "seen") == (None if down else 2, None)
    with pytest.raises(UserError, match="step 4: the loss is nan"):  # which an upload that fails does not hide
        Machine(tmp_path / "first").train(4, after_step=leave(UserError("step 4: the loss is nan")))
    faults.at = None
    assert seen(tmp_path / "seen") == (None if down else 4, None)


def test_another_machine_that_goes_on_stops_this_one(bucket, quick_looks, tmp_path):
    first = Machine(tmp_path / "first")

    def trained(run):
        if run.steps == [2]:
            wait_for(lambda: committed(2))
            Machine(tmp_path / "second").train(4)
        else:
            wait_for(lambda: first.stop.exit_code == 75)  # of which the loop learns after each step

    with pytest.raises(Taken, match=r"memory://bucket/run: .* has gone on with it since 20.* UTC; this process writes"):
        first.train(2, 6, resume=False, after_step=trained)
    assert seen(tmp_path / "seen") == (4, 4)
    assert first.storage().run.steps == [6]
    first.train(8, begun=goes_on_from(4))  # the store's, not its own 6
    assert seen(tmp_path / "seen") == (8, 8)


def test_a_mirror_that_was_removed_is_read_again(bucket, tmp_path):
    machine = Machine(tmp_path / "first")
    machine.train(2, resume=False)
    shutil.rmtree(machine.storage().run.path)
    machine.train(4, begun=goes_on_from(2))
    assert seen(tmp_path / "seen") == (4, 4)


def test_what_is_refused(bucket, tmp_path, monkeypatch):
    machine = Machine(tmp_path / "first")
    with (
        pytest.raises(UsageError, match="another process of this machine is training in it"),
        machine.storage().opened(False),
    ):
        machine.train(2)
    machine.train(2, resume=False)
    for folder in ("first", "other"):
        with pytest.raises(UsageError, match="memory://bucket/run holds a run already: continue it with --resume"):
            Machine(tmp_path / folder).train(2, resume=False)
    bucket.rm("/bucket", recursive=True)
    machine.train(2, resume=False)  # it was removed: the mirror does not bring it back

    def read_only(fs, *arguments, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", read_only)
    with pytest.raises(UsageError, match=r"a small object cannot be .* \(PermissionError: read-only\); are the bucket"):
        machine.train(4)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"set data.cache_dir to a folder"):
        Machine(tmp_path / "file").train(2)


def test_a_manifest_writes_nowhere_else(bucket, tmp_path):
    for path in ("../outside", "/outside", "checkpoints/../../outside"):
        with pytest.raises(NotAManifest):
            unit_of(Unit(1, {path: Object("files/x", 1, "0")}).to_json().encode())
