"""Manifests."""

import hashlib

import pytest

from jaxemb.runs.storage.units import NotAManifest, Object, Unit, is_same, object_of, unit_of


def test_a_manifest_writes_nowhere_else(bucket, tmp_path):
    for path in ("../outside", "/outside", "checkpoints/../../outside"):
        with pytest.raises(NotAManifest):
            unit_of(Unit(1, {path: Object("files/x", 1, "0")}).to_json().encode())


def test_a_manifest_there_and_back(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    one = object_of("files/a", tmp_path / "a")
    assert one == Object("files/a", 3, hashlib.sha256(b"abc").hexdigest())
    unit = Unit(7, {"checkpoints/7/a": one})
    assert unit_of(unit.to_json().encode()) == unit
    assert is_same(one, tmp_path / "a")
    (tmp_path / "a").write_bytes(b"abd")
    assert not is_same(one, tmp_path / "a")
    assert not is_same(one, tmp_path / "b")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-9],
        lambda text: text.replace(b'"step": 7', b'"step": 8'),
        lambda text: b"[]",
        lambda text: b"",
        lambda text: b'{"step": 7, "files": 3}',
    ],
)
def test_a_manifest_that_was_cut_off_or_changed_is_none(damage):
    text = Unit(7, {"a": Object("files/a", 3, "0")}).to_json().encode()
    assert unit_of(text).step == 7
    with pytest.raises(NotAManifest):
        unit_of(damage(text))
