"""Runs behind a URL: what a reader sees whenever an upload fails, and what another machine goes on from."""

import hashlib
import re
import threading

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.errors import CannotWrite, Stopped, UsageError, UserError
from jaxemb.runs.storage import remote
from jaxemb.runs.storage.store import Store, Taken
from support.machines import (
    URL,
    Crash,
    Machine,
    assert_what_is_committed_is_whole,
    committed,
    contents,
    fill,
    goes_on_from,
    seen,
)
from support.runs import wait_for


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
        f"The whole run is in {run.path}: --resume on this machine continues it"
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
    with pytest.raises(CannotWrite if down else Stopped, match="The whole run is in" if down else "stopped after step"):
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

    with pytest.raises(
        Taken, match=r"memory://bucket/run: .* has continued it since 20.* UTC; this process no longer writes"
    ):
        first.train(2, 6, resume=False, after_step=trained)
    assert seen(tmp_path / "seen") == (4, 4)
    assert first.storage().run.steps == [6]
    first.train(8, begun=goes_on_from(4))  # the store's, not its own 6
    assert seen(tmp_path / "seen") == (8, 8)


def test_what_is_refused(bucket, tmp_path, monkeypatch):
    machine = Machine(tmp_path / "first")
    with (
        pytest.raises(UsageError, match="another process on this machine is training in it"),
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
