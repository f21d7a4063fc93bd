"""What a manifest keeps, and which ones are refused."""

import dataclasses
import json
import tracemalloc

import fsspec
import numpy as np
import pytest

from jaxemb.data.shards import manifest as module
from jaxemb.data.shards.contents import Shard
from jaxemb.data.shards.index import ShardInfo, shard_name
from jaxemb.data.shards.manifest import MANIFEST, Manifest
from jaxemb.errors import UsageError, UserError
from support.shards import URL, manifest_of, prepare, some_examples, upload


@pytest.fixture
def prepared(tmp_path):
    return tmp_path, prepare(tmp_path, [[some_examples(20)], [some_examples(5, 1), some_examples(6, 2)]])


def same(one: Manifest, other: Manifest) -> bool:
    fields = [field.name for field in dataclasses.fields(Manifest) if field.name != "counts"]
    return all(getattr(one, name) == getattr(other, name) for name in fields) and (one.counts == other.counts).all()


def test_what_was_saved_is_loaded(prepared):
    folder, manifest = prepared
    loaded = Manifest.load(str(folder))
    assert same(loaded, manifest)
    assert loaded.counts.dtype == np.int64
    assert (loaded.digest, loaded.layout) == (manifest.digest, manifest.layout)
    assert (loaded.examples, loaded.lanes) == (31, 2)


def test_behind_a_url(prepared, every_third_fails):
    folder, manifest = prepared
    upload(folder)
    fsspec.filesystem("memory").rm(f"/bucket/prepared/{MANIFEST}")
    with pytest.raises(UsageError, match=rf"{URL}: is not finished .* `jaxemb data prepare` again"):
        Manifest.load(URL)
    manifest.save(URL)
    assert all(same(Manifest.load(URL), manifest) for _ in range(3))
    fsspec.filesystem("memory").rm(f"/bucket/prepared/{shard_name(1)}.lengths")
    with pytest.raises(UsageError, match=rf"{URL}: {shard_name(1)}.lengths is missing"):
        Manifest.load(URL)


def test_the_digest_is_of_everything_but_what_is_volatile(prepared):
    _, manifest = prepared
    assert dataclasses.replace(manifest, volatile={"host": "a", "seconds": 3.5}).digest == manifest.digest
    shard = manifest.shards[0]
    changes = {
        "tokenizer": dataclasses.replace(manifest.tokenizer, suffix=(4,)),
        "sources": (dataclasses.replace(manifest.sources[0], licence=None),),
        "groups": (dataclasses.replace(manifest.groups[0], positive_lang="fr"),),
        "shards": (
            dataclasses.replace(shard, info=dataclasses.replace(shard.info, checksum="0")),
            *manifest.shards[1:],
        ),
        "report": {"totals": {"read": 1}},
        "settings": {"filters": {"min": 2}},
    }
    digests = [dataclasses.replace(manifest, **{name: value}).digest for name, value in changes.items()]
    assert len({manifest.digest, *digests}) == 1 + len(changes)


def test_settings_with_numbers_as_keys_have_one_digest(prepared):
    folder, manifest = prepared
    dataclasses.replace(manifest, settings={"map": {10: "a", 9: "b"}}).save(str(folder))
    assert Manifest.load(str(folder)).settings == {"map": {"10": "a", "9": "b"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(layout=module.LAYOUT_VERSION + 1), "another version of jaxemb .*layout 2"),
        (lambda content: content.update(order_version=0), "another version of jaxemb .*order 0"),
        (lambda content: content.update(format="other"), "another version of jaxemb .*other"),
        (lambda content: content["report"].update(read=7), "damaged.*checksum differs"),
        (lambda content: content.pop("counts"), "damaged"),
        (lambda content: content.pop("digest"), "damaged"),
        (lambda content: content["counts"][0].append(1), "damaged"),
        (lambda content: content["shards"].pop(), "damaged"),
    ],
)
def test_what_is_refused(prepared, change, message):
    folder, _ = prepared
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message) as refused:
        Manifest.load(str(folder))
    assert str(refused.value).startswith(f"{folder}: ")
    assert "`jaxemb data prepare` again" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff"])
def test_what_is_no_manifest_is_refused(prepared, content):
    folder, _ = prepared
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        Manifest.load(str(folder))


def test_missing_and_changed_files_are_named(prepared):
    folder, _ = prepared
    path = folder / shard_name(2)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(UsageError, match=rf"{path.name} has {len(content) - 10} bytes instead of {len(content)}: copy"):
        Manifest.load(str(folder))
    path.unlink()
    with pytest.raises(UsageError, match=f"{path.name} is missing: copy"):
        Manifest.load(str(folder))
    (folder / MANIFEST).unlink()
    with pytest.raises(UsageError, match=r"is not finished .*: run `jaxemb data prepare` again"):
        Manifest.load(str(folder))
    with pytest.raises(UsageError, match="nowhere: is not finished"):
        Manifest.load(str(folder / "nowhere"))


def test_another_tokenizer_is_refused(prepared):
    _, manifest = prepared
    manifest.check_tokenizer("abc")
    with pytest.raises(UsageError, match=r"gs://b/p: was prepared with another tokenizer \(abc, this run has xyz\): "):
        manifest.check_tokenizer("xyz", "gs://b/p")


def test_parts_that_contradict_each_other(prepared):
    _, manifest = prepared
    first, second, third = manifest.shards
    for shards in ((second, third, first), (first, third, second), (first, second), (first, second, second)):
        with pytest.raises(ValueError, match=r"next shard|rows by lane"):
            dataclasses.replace(manifest, shards=shards)
    source = dataclasses.replace(manifest.sources[0], texts=2)
    with pytest.raises(ValueError, match="has 3 texts, the sources 2"):
        dataclasses.replace(manifest, sources=(source,))
    with pytest.raises(ValueError, match="1 groups"):
        dataclasses.replace(manifest, counts=np.array([[20, 0], [11, 0]]))


def test_it_is_written_whole_or_not_at_all(prepared, monkeypatch):
    folder, manifest = prepared
    before = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).chmod(0o444)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        dataclasses.replace(manifest, report={}).save(str(folder))
    assert (folder / MANIFEST).read_bytes() == before
    monkeypatch.undo()
    with pytest.raises(UserError):
        manifest.save("memory2://bucket")


def test_a_billion_examples_take_few_bytes(tmp_path):
    """4,000 shards, 64 lanes, 500 groups: 12,000 files of size 0 are not made, so their sizes are not looked at."""
    lanes, per_lane, groups = 64, 62, 500
    rows = 252_000
    counts = np.full((lanes, groups), per_lane * rows // groups)
    infos = [
        ShardInfo(
            shard_name(number),
            rows,
            52_000_000 + number,
            f"{number:032x}",
            3,
            490_000,
            16_000,
            (number * 2654435761) % (1 << 32),
        )
        for number in range(lanes * per_lane)
    ]
    shards = [Shard(number // per_lane, number % per_lane * rows, info) for number, info in enumerate(infos)]
    manifest = manifest_of(shards, counts)
    assert manifest.examples > 999_000_000
    manifest.save(str(tmp_path))
    data = (tmp_path / MANIFEST).read_bytes()
    assert len(data) < 1_000_000
    tracemalloc.start()
    loaded = Manifest.from_json(data, "here")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    assert loaded.digest == manifest.digest
