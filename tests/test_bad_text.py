"""Each way in which a file of text can be bad, met by training, evaluation and encoding: what they say."""

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from jaxemb.config import DataConfig, HoldoutConfig, JsonlSource, NliSource, TextSource, TsvSource
from jaxemb.data import gather
from jaxemb.encoding import encode_file
from jaxemb.errors import UserError
from jaxemb.readers.aligned import read_tsv
from support.tiny_models import tiny_embedder

GOOD = "".join(f"sentence number {n}\tSatz Nummer {n}\n" for n in range(300)).encode()
GZIP = gzip.compress(GOOD)
ZSTD = pyarrow.Codec("zstd").compress(GOOD, asbytes=True)
# An export of OPUS (opus.nlpl.eu, its TMX of a corpus), in miniature.
TMX = b"""<?xml version="1.0" encoding="UTF-8" ?>
<tmx version="1.4"><header segtype="sentence" srclang="en" datatype="PlainText" />
<body><tu><tuv xml:lang="en"><seg>A dog</seg></tuv><tuv xml:lang="de"><seg>Ein Hund</seg></tuv></tu></body></tmx>
"""


def archive(kind):
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("en-de.tsv", GOOD)
    else:
        with tarfile.open(fileobj=packed, mode=kind) as file:
            about = tarfile.TarInfo("en-de.tsv")
            about.size = len(GOOD)
            file.addfile(about, io.BytesIO(GOOD))
    return packed.getvalue()


def parquet():
    packed = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"en": ["A dog"], "de": ["Ein Hund"]}), packed)
    return packed.getvalue()


REFUSED = {
    "missing": (None, "no such file"),
    "empty": (b"", "the file is empty"),
    "truncated gzip": (GZIP[: len(GZIP) // 2], "the gzip file is truncated or corrupt .*fetch it again"),
    "corrupt gzip": (GZIP[:40] + bytes(40) + GZIP[80:], "the gzip file is truncated or corrupt"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "is UTF-16; convert it to UTF-8"),
    "UTF-16 in gzip": (gzip.compress(GOOD.decode().encode("utf-16")), "is UTF-16; convert it to UTF-8"),
    "truncated xz": (lzma.compress(GOOD)[:-9], "the xz file is truncated or corrupt .*fetch it again"),
    "truncated bzip2": (bz2.compress(GOOD)[:-9], "the bzip2 file is truncated or corrupt"),
    "bzip2 of nothing": (bz2.compress(b""), "the file is empty"),
    "truncated zstd": (ZSTD[:-9], "the zstd file is truncated or corrupt"),
    "corrupt zstd": (b"\x28\xb5\x2f\xfd\x24" + GOOD, "the zstd file is truncated or corrupt"),
    "truncated zip": (archive("zip")[:-9], "the ZIP file is truncated or corrupt|the file is truncated or corrupt"),
    "7-zip": (b"7z\xbc\xaf\x27\x1c\0\4" + GOOD, "is a 7-zip archive; unpack it"),
    "tar": (archive("w"), "is a tar archive; unpack it and name the file inside"),
    "tar in gzip": (archive("w:gz"), "is a tar archive; unpack it and name the file inside"),
    "Parquet": (parquet(), "is a Parquet file; read it with a source of kind parquet"),
    "Arrow": (b"ARROW1\0\0" + GOOD, "is an Arrow file; read it with a source of kind parquet"),
    "TMX": (TMX, "is TMX, which is XML; read it with a source of kind tmx"),
    "TMX in gzip, with a mark": (
        gzip.compress(b"\xef\xbb\xbf" + TMX),
        "is TMX, which is XML; read it with a source of kind tmx",
    ),
    "XML": (b'<?xml version="1.0"?>\n<corpus>\n</corpus>\n', "is XML; convert it to lines"),
    "HTML": (b"<!doctype html>\n<title>404</title>\n", "is a web page, perhaps about an error; fetch the file again"),
    # github.com/git-lfs/git-lfs, docs/spec.md
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a pointer of Git LFS, not the file itself",
    ),
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
    readers = {"train": lambda: gather(config(file.parent), 0), "evaluate": lambda: read_tsv(file)}
    if "empty" not in message:  # that gives no rows and a warning
        readers["encode"] = lambda: encode(file)
    for read in readers.values():
        with pytest.raises(UserError, match=rf"en-de\.tsv.*: {message}"):
            read()
    assert not [path for path in file.parent.rglob("*") if path.is_file() and path != file]


@pytest.mark.parametrize(
    "first", ["PK is a name\tPK", "BZh91 is none\tBZh", "<?xml is a mark\tja", "PAR1 gene\tPAR1", "<b>bold</b>\tfett"]
)
def test_text_that_begins_like_another_format_is_text(tmp_path, first):
    (tmp_path / "en-de.tsv").write_text(f"{first}\nA dog\tEin Hund\n")
    assert read_tsv(tmp_path / "en-de.tsv")[0] == [first.partition("\t")[0], "A dog"]


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
            gather(config(file.parent), 0)
    else:
        data = gather(config(file.parent), 0)
        assert data.examples == 300
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
    anchors, positives, _ = read_tsv(file)
    assert (anchors[0], positives[0]) == ("sentence number 0", "Satz Nummer 0")
    record = next(record for record in gather(config(file.parent), 0).records() if record.id.endswith(":1"))
    assert (record.anchor, record.positive) == ("sentence number 0", "Satz Nummer 0")
    assert encode(file) == 300
    np.testing.assert_allclose(
        np.load(file.with_name("out.npy"))[0], tiny_embedder().encode(["Satz Nummer 0"])[0], atol=1e-6
    )


# `json.dumps` of a tweet that was cut in an emoji; numbers and depths that Python does not take.
BAD_JSON = {
    "half of an emoji": ('{"anchor": "nice \\ud83d", "positive": "b", "text": "nice \\ud83d"}', "half of a character"),
    "the other half": ('{"anchor": "\\uDE42 nice", "positive": "b", "text": "\\uDE42 nice"}', "half of a character"),
    "half in a key": ('{"\\ud83d": 1}', "half of a character|no key"),
    "very deep": ("[" * 100_000, "not JSON"),
    "very deep, closed": ('{"anchor": "a", "positive": "b", "x": ' + "[" * 5000 + "]" * 5000 + "}", "not JSON"),
    "no JSON": ("nice", "not JSON"),
    "no object": ("3", "not a JSON object|no text|needs sentence1|no key"),
}


@pytest.mark.parametrize(("line", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_bad_line_of_json_is_counted_in_training_and_named_in_encoding(tmp_path, line, message):
    good = {"anchor": "a", "positive": "b", "text": "t", "sentence1": "x", "sentence2": "y", "gold_label": "neutral"}
    lines = [json.dumps({**good, "anchor": f"a {n}", "text": f"t {n}", "sentence1": f"x {n}"}) for n in range(300)]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([*lines[:200], line, *lines[200:]]) + "\n")
    for source in (JsonlSource(path="x.jsonl"), TextSource(path="x.jsonl"), NliSource(path="x.jsonl")):
        data = gather(config(tmp_path).model_copy(update={"sources": (source,)}), 0)
        assert data.examples == 300
        assert re.search(rf"x.jsonl:201: ({message})", data.report["bad_lines"][0]["first"])
    with pytest.raises(UserError, match=rf"x.jsonl, line 201: .*({message})"):
        encode_file(tiny_embedder(), path, tmp_path / "out.npy")


def test_a_score_beyond_every_float_is_a_bad_line(tmp_path):
    lines = [json.dumps({"anchor": f"a {n}", "positive": "b", "s": 1}) for n in range(300)]
    lines[200] = '{"anchor": "a", "positive": "b", "s": 1' + "0" * 400 + "}"
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    sources = (JsonlSource(path="x.jsonl", score_key="s"),)
    data = gather(config(tmp_path).model_copy(update={"sources": sources}), 0)
    assert (data.examples, data.report["totals"]["bad_lines"]) == (299, 1)
