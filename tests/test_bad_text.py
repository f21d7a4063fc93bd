"""Each way in which a file of text can be bad, met by training, evaluation and encoding: what they say."""

import gzip
import re
import tracemalloc

import numpy as np
import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TsvSource
from jaxemb.data import prepare
from jaxemb.encoding import encode_file
from jaxemb.errors import UserError
from jaxemb.readers.aligned import read_tsv
from support.tiny_models import tiny_embedder

GOOD = "".join(f"sentence number {n}\tSatz Nummer {n}\n" for n in range(300)).encode()
GZIP = gzip.compress(GOOD)
REFUSED = {
    "missing": (None, "no such file"),
    "empty": (b"", "the file is empty"),
    "truncated gzip": (GZIP[: len(GZIP) // 2], "the gzip file is truncated or corrupt .*fetch it again"),
    "corrupt gzip": (GZIP[:40] + bytes(40) + GZIP[80:], "the gzip file is truncated or corrupt"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "is UTF-16; convert it to UTF-8"),
}
BAD_LINES = {
    "binary": (np.random.default_rng(0).bytes(1 << 16), "line 1: (not UTF-8 at byte|a NUL byte)"),
    "UTF-8": (GOOD + "schön\tx\n".encode("latin-1") + GOOD, "line 301: not UTF-8 at byte 4"),
    "NUL": (GOOD + b"a\0\tb\n" + GOOD, "line 301: a NUL byte, as in a binary file"),
    "10 MB in a line": (GOOD + b"long " * (2 << 20) + b"\tx\n" + GOOD, "line 301: longer than 1 MiB"),
    "one column": (GOOD + b"lonely\n" + GOOD, "line 301: .*column"),
}


def config(folder):
    return DataConfig(
        root=str(folder),
        sources=(TsvSource(path="en-de.tsv"),),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(folder / "cache"),
    )


def encode(path):
    return encode_file(tiny_embedder(), path, path.with_name("out.npy"), column=1)


@pytest.fixture
def file(tmp_path, request):
    path = tmp_path / "en-de.tsv"
    if request.param is not None:
        path.write_bytes(request.param)
    return path


@pytest.mark.parametrize(("file", "message"), REFUSED.values(), ids=REFUSED, indirect=["file"])
def test_a_file_that_cannot_be_read_is_named(file, message):
    readers = {"train": lambda: prepare(config(file.parent), 0), "evaluate": lambda: read_tsv(file)}
    if "empty" not in message:  # that gives no rows and a warning
        readers["encode"] = lambda: encode(file)
    for read in readers.values():
        with pytest.raises(UserError, match=rf"en-de\.tsv.*: {message}"):
            read()
    assert not [path for path in file.parent.rglob("*") if path.is_file() and path != file]


@pytest.mark.parametrize(("file", "message"), BAD_LINES.values(), ids=BAD_LINES, indirect=["file"])
def test_a_bad_line_is_named_where_it_counts_and_left_out_of_training(file, message):
    if len(file.read_bytes()) > 10 << 20:
        tracemalloc.start()
    for read in (lambda: read_tsv(file), lambda: encode(file)):
        with pytest.raises(UserError, match=rf"en-de\.tsv, {message}"):
            read()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    if "line 1:" in message:
        with pytest.raises(UserError, match=r"en-de\.tsv: .*lines"):
            prepare(config(file.parent), 0)
    else:
        data = prepare(config(file.parent), 0)
        assert len(data.train) == 300
        (bad,) = data.report["bad_lines"]
        assert bad["bad"] == 1
        assert re.search(f"en-de.tsv:{message.removeprefix('line ')}", bad["first"])
    if tracemalloc.is_tracing():
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        tracemalloc.stop()


@pytest.mark.parametrize(
    "file", ["\ufeff".encode() + GOOD.replace(b"\n", b"\r\n")], ids=["BOM and CRLF"], indirect=True
)
def test_marks_of_other_systems_are_no_text(file):
    anchors, positives = read_tsv(file)
    assert (anchors[0], positives[0]) == ("sentence number 0", "Satz Nummer 0")
    record = next(record for record in prepare(config(file.parent), 0).train if record.id.endswith(":1"))
    assert (record.anchor, record.positive) == ("sentence number 0", "Satz Nummer 0")
    assert encode(file) == 300
    np.testing.assert_allclose(
        np.load(file.with_name("out.npy"))[0], tiny_embedder().encode(["Satz Nummer 0"])[0], atol=1e-6
    )
