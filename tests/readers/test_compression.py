import bz2
import contextlib
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb.errors import UserError
from jaxemb.readers.aligned import find_aligned
from jaxemb.readers.compression import opened
from jaxemb.readers.lines import BadLine, read_lines
from jaxemb.readers.sts_files import find_sts

LINES = [f"line {n} ä" for n in range(20_000)]
CONTENT = "\n".join(LINES).encode()


def zstd(data):
    return pyarrow.Codec("zstd").compress(data, asbytes=True)


def zipped(data, *others):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("corpus/", b"")
        file.writestr("corpus/README.txt", b"about the texts")
        file.writestr("corpus/LICENSE", b"free")
        file.writestr("__MACOSX/corpus/._en", b"\0")
        for name in ("corpus/en", *others):
            file.writestr(name, data)
    return packed.getvalue()


COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd, "ZIP": zipped}
ENDINGS = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "ZIP": ".zip"}


@pytest.mark.parametrize("kind", COMPRESS)
def test_each_is_recognised_by_its_first_bytes(tmp_path, kind):
    (tmp_path / "plain.txt").write_bytes(COMPRESS[kind](CONTENT))
    assert list(read_lines(tmp_path / "plain.txt")) == LINES
    (tmp_path / "named.xz").write_bytes(CONTENT)
    assert list(read_lines(tmp_path / "named.xz")) == LINES


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_files_of_several_pieces(tmp_path, kind):
    """`cat a.gz b.gz`, pbzip2, `xz --block-size`, pzstd with its skippable frames."""
    half = len(CONTENT) // 2
    pieces = [COMPRESS[kind](CONTENT[:half]), COMPRESS[kind](CONTENT[half:])]
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    if kind == "zstd":
        pieces = [skippable, pieces[0], skippable, pieces[1]]
    (tmp_path / "x").write_bytes(b"".join(pieces))
    assert list(read_lines(tmp_path / "x")) == LINES


@pytest.mark.parametrize("kind", COMPRESS)
def test_truncated_and_corrupt_files_are_named(tmp_path, kind):
    noise = "\n".join(os.urandom(20).hex() for _ in range(9000)).encode()
    whole = COMPRESS[kind](noise)
    middle = len(whole) // 2
    damaged = {"cut": whole[:middle], "last": whole[:-2], "zeros": whole[:middle] + bytes(500) + whole[middle + 500 :]}
    if kind == "zstd":  # as `zstd` writes it: with a checksum, which pyarrow's compressor leaves out
        del damaged["zeros"]
    for name, data in damaged.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}: the .*is truncated or corrupt \(.+\); fetch it again"):
            list(read_lines(path))


def test_gzip_in_a_zip(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(gzip.compress(CONTENT)))
    assert list(read_lines(tmp_path / "x.zip")) == LINES


def test_several_files_in_a_zip_are_listed(tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(b"a\n", "corpus/de"))
    with pytest.raises(
        UserError, match=r"x\.zip: is a ZIP archive of 4 files; .*zip://MEMBER::.*: .*corpus/en, corpus/de"
    ):
        list(read_lines(tmp_path / "x.zip"))


def test_a_file_that_changes_or_vanishes_meanwhile(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    lines = read_lines(path)
    next(lines)
    with path.open("ab") as file:
        file.write(b"\nmore")
    with pytest.raises(UserError, match="x: changed while it was read"):
        list(lines)
    path.write_bytes(gzip.compress(CONTENT))
    lines = read_lines(path)
    next(lines)
    path.unlink()
    with pytest.raises(UserError, match="x: vanished while it was read"):
        list(lines)
    path.write_bytes(gzip.compress(CONTENT * 9, 0))
    lines = read_lines(path)
    next(lines)
    path.write_bytes(b"\0" * 20_000)  # a gzip file that is written over looks corrupt
    with pytest.raises(UserError, match="x: changed while it was read"):
        list(lines)


def test_a_reader_that_stops_early_closes_the_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(zipped(CONTENT))
    lines = read_lines(path)
    next(lines)
    path.unlink()
    lines.close()


def test_a_pipe_is_read(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"a\nb\n")
    os.close(writing)
    assert list(read_lines(Path(f"/dev/fd/{reading}"))) == ["a", "b"]
    os.close(reading)


def test_the_bytes_of_a_file(tmp_path):
    (tmp_path / "x").write_bytes(zstd(CONTENT))
    with opened(tmp_path / "x") as file:
        assert file.peek(4)[:4] == b"line"
        assert file.read() == CONTENT


@pytest.mark.parametrize("ending", ENDINGS.values())
def test_names_of_compressed_files(tmp_path, ending):
    for name in ("en-de.tsv", "en-fr.txt", "x.de-en.de", "x.de-en.en", "de.test.csv"):
        (tmp_path / (name + ending)).write_bytes(gzip.compress(b"a\tb\n"))
    names = {name: [one.name if one else None for one in files] for name, *files in find_aligned([tmp_path])}
    assert names == {
        "en-de": [f"en-de.tsv{ending}", None],
        "en-fr": [f"en-fr.txt{ending}", None],
        "x.de-en": [f"x.de-en.de{ending}", f"x.de-en.en{ending}"],
    }
    assert [one.name for one in find_sts([tmp_path], "test")] == ["de.test"]


SMALL = {kind: compress(b"a line\nanother\tline\n" * 20) for kind, compress in COMPRESS.items()}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=5), st.integers(0, 9)), max_size=4),
)
def test_any_damage_is_a_bad_line_or_a_plain_error(tmp_path_factory, kind, damage):
    data = SMALL[kind]
    for place, inserted, removed in damage:
        data = data[:place] + inserted + data[place + removed :]
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert all(isinstance(line, str | BadLine) for line in read_lines(path))
