"""What a machine reads of a store in which something is damaged or missing."""

import shutil

import pytest

from jaxemb.errors import UserError
from jaxemb.runs.storage.store import Store
from support.machines import (
    URL,
    Machine,
    assert_what_is_committed_is_whole,
    goes_on_from,
    seen,
)


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


def test_small_files_that_somebody_removed_are_written_anew(bucket, tmp_path):
    machine = Machine(tmp_path / "first")
    machine.train(2, resume=False)
    for path in bucket.find("/bucket/run/_jaxemb/files"):
        bucket.rm_file(path)
    machine.train(4)
    machine.train(6)  # of the small files of one step only that one's scores are gone
    assert_what_is_committed_is_whole(bucket)
    assert seen(tmp_path / "seen") == (6, 6)


def test_a_mirror_that_was_removed_is_read_again(bucket, tmp_path):
    machine = Machine(tmp_path / "first")
    machine.train(2, resume=False)
    shutil.rmtree(machine.storage().run.path)
    machine.train(4, begun=goes_on_from(2))
    assert seen(tmp_path / "seen") == (4, 4)
