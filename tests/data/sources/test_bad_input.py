"""Each kind of source with each way in which its files can be bad: a counted line, or one error that names the file."""

import gzip
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxemb.config import (
    DataConfig,
    GettextSource,
    HoldoutConfig,
    JsonlSource,
    MosesSource,
    NliSource,
    ParquetSource,
    Source,
    StsSource,
    TextSource,
    TmxSource,
    TsvSource,
)
from jaxemb.data import gather
from jaxemb.errors import UserError
from jaxemb.readers import stores
from support.failing_store import FailingFileSystem

ROWS = 300


class Kind(NamedTuple):
    """A source and its file: a head, rows, a tail."""

    source: Source
    name: str
    row: str
    head: str = ""
    tail: str = ""

    def content(self, extra: str = "") -> str:
        rows = [self.row.replace("@", str(n)) for n in range(ROWS)]
        return self.head + "".join(rows[:100]) + extra + "".join(rows[100:]) + self.tail


PO_HEAD = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
KINDS = {
    "tsv": Kind(TsvSource(path="en-de.tsv"), "en-de.tsv", "dog number @\tHund Nummer @\n"),
    "csv": Kind(
        TsvSource(path="x.csv", anchor_column="en", positive_column="de", positive_lang="de"),
        "x.csv", '"dog, number @",Hund Nummer @\n', "en,de\n",
    ),
    "moses": Kind(
        MosesSource(anchor_path="x.en", positive_path="x.de", positive_lang="de"), "x.en", "dog number @\n"
    ),
    "text": Kind(TextSource(path="x.txt"), "x.txt", "dog number @\n"),
    "nli": Kind(NliSource(path="x.txt"), "x.txt", "a @\tb @\tneutral\n", "sentence1\tsentence2\tgold_label\n"),
    "nli, jsonl": Kind(
        NliSource(path="x.jsonl"), "x.jsonl", '{"sentence1": "a @", "sentence2": "b @", "gold_label": "neutral"}\n'
    ),
    "sts": Kind(StsSource(path="x.tsv"), "x.tsv", "4.5\ta @\tb @\n"),
    "jsonl": Kind(JsonlSource(path="x.jsonl"), "x.jsonl", '{"anchor": "a @", "positive": "b @"}\n'),
    "tmx": Kind(
        TmxSource(path="x.tmx"), "x.tmx",
        '<tu><tuv xml:lang="en"><seg>dog @</seg></tuv><tuv xml:lang="de"><seg>Hund @</seg></tuv></tu>\n',
        '<tmx version="1.4">\n<body>\n', "</body></tmx>\n",
    ),
    "gettext": Kind(
        GettextSource(packages=("pkg-bad",)), "x.po", 'msgid "Open file @"\nmsgstr "Datei @ öffnen"\n\n', PO_HEAD
    ),
}  # fmt: skip
LINES = ("tsv", "csv", "moses", "text", "nli", "nli, jsonl", "sts", "jsonl")


def bad(good: int, lines: int, **dropped: int) -> tuple[int, int, dict[str, int]]:
    """Pairs to train on, malformed lines, and counted reasons."""
    return good, lines, dropped


def for_lines(skipped: Any, strict: str, **others: Any) -> dict[str, Any]:
    """What happens: kinds of lines skip the line, `sts` refuses the file; the others as given."""
    return {**dict.fromkeys(LINES, skipped), "sts": strict, **others}


def with_row(template: str) -> Any:
    """A row more, whose first text is `template`."""
    return lambda kind: kind.content(kind.row.replace("@", template)).encode()


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "good": (lambda kind: kind.content().encode(), dict.fromkeys(KINDS, bad(ROWS, 0))),
    "bad UTF-8": (
        lambda kind: kind.content(kind.row.replace("@", "sch\xf6n")).encode().replace("sch\xf6n".encode(), b"sch\xf6n"),
        for_lines(
            bad(ROWS, 1), r"line 101: not UTF-8", tmx="after line 1: is not in the encoding", gettext=bad(ROWS, 2)
        ),
    ),
    "UTF-16": (
        lambda kind: kind.content().encode("utf-16"),
        for_lines("is UTF-16; convert", "is UTF-16", tmx=bad(ROWS, 0), gettext="lines are malformed"),
    ),
    "NUL": (
        with_row("a\0b"),
        for_lines(bad(ROWS, 1), "line 101: a NUL byte", tmx="line 103: is not well-formed", gettext=bad(ROWS + 1, 0)),
    ),
    "BOM": (lambda kind: b"\xef\xbb\xbf" + kind.content().encode(), dict.fromkeys(KINDS, bad(ROWS, 0))),
    "CRLF": (
        lambda kind: kind.content().replace("\n", "\r\n").encode(),
        dict.fromkeys(KINDS, bad(ROWS, 0)),
    ),
    "10 MB line": (
        with_row("x" * (10 << 20)),
        for_lines(bad(ROWS, 1), "line 101: longer than 1 MiB", tmx=bad(ROWS, 1), gettext=bad(ROWS, 0, too_long=1)),
    ),
    "missing columns": (
        lambda kind: kind.content({"nli, jsonl": "{}\n", "jsonl": "{}\n"}.get(name_of(kind), "lonely\n")).encode(),
        for_lines(
            bad(ROWS, 1), r"line 101: 1 column\(s\), not 3", text=bad(ROWS + 1, 0),
            moses="x.en has 301 lines, .*x.de has 300", gettext=bad(ROWS, 1),
        ),
    ),
    "missing texts": (
        lambda kind: kind.content({"tmx": "<tu><tuv><seg>x</seg></tuv></tu>\n<tu/>\n"}[name_of(kind)]).encode(),
        {"tmx": bad(ROWS, 1, other_language=1)},
    ),
    "quotes inside": (
        with_row('say ""hi""'),
        {
            **dict.fromkeys(("tsv", "csv", "moses", "text", "nli", "sts", "tmx"), bad(ROWS + 1, 0)),
            **dict.fromkeys(("nli, jsonl", "jsonl"), bad(ROWS, 1)), "gettext": bad(ROWS + 1, 0),
        },
    ),
    "an open quote": (
        lambda kind: kind.content('"open,x\n').encode(), {"csv": r"x\.csv, line 102: is not valid CSV"}
    ),
    "tabs inside": (
        with_row("a\tb"),
        for_lines(
            bad(ROWS, 1), r"line 101: 5 column\(s\), not 3", csv=bad(ROWS + 1, 0), moses=bad(ROWS + 1, 0),
            text=bad(ROWS + 1, 0), tmx=bad(ROWS + 1, 0), gettext=bad(ROWS + 1, 0),
        ),
    ),
    "empty": (
        lambda kind: b"",
        {**dict.fromkeys(KINDS, "the file is empty"), "gettext": "no pair is left .* nothing was read"},
    ),
    "truncated gzip": (
        lambda kind: gzip.compress(kind.content().encode())[:-20],
        dict.fromkeys((*LINES, "tmx"), "the gzip file is truncated or corrupt .*; fetch it again"),
    ),
    "truncated zstd": (
        lambda kind: pa.Codec("zstd").compress(kind.content().encode(), asbytes=True)[:-20],
        dict.fromkeys((*LINES, "tmx"), "the zstd file is truncated or corrupt .*; fetch it again"),
    ),
    "truncated": (
        lambda kind: kind.content().encode()[:-30],
        {"tmx": "line 302: is not well-formed XML, or is truncated", "gettext": bad(ROWS - 1, 1)},
    ),
}  # fmt: skip


def name_of(kind: Kind) -> str:
    return next(name for name, one in KINDS.items() if one is kind)


def write(kind, content, folder, install):
    if name_of(kind) == "gettext":
        install("pkg-bad", {"pkg/locale/de/LC_MESSAGES/x.po": content})
        return
    (folder / kind.name).write_bytes(content)
    count = ROWS if b"lonely" in content else 1 + ROWS if content.count(b"\n") > ROWS else ROWS
    (folder / "x.de").write_text("".join(f"Hund Nummer {n}\n" for n in range(count)))


def config(source, root, cache):
    return DataConfig(
        root=str(root), sources=(source,), holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(cache)
    )


@pytest.mark.parametrize(
    ("name", "case"), [pytest.param(name, case, id=f"{name}, {case}") for case in CASES for name in CASES[case][1]]
)
def test_each_is_counted_or_named(name, case, tmp_path, install):
    kind, (content, expected) = KINDS[name], CASES[case]
    write(kind, content(kind), tmp_path, install)
    wanted = expected[name]
    if isinstance(wanted, str):
        file = "" if wanted.startswith(("no pair", "x.en has")) else kind.name.replace(".", r"\.") + "[:,] "
        with pytest.raises(UserError, match=wanted if wanted.startswith("x") else f"{file}.*{wanted}"):
            gather(config(kind.source, tmp_path, tmp_path / "cache"), 0)
        return
    data = gather(config(kind.source, tmp_path, tmp_path / "cache"), 0)
    good, lines, dropped = wanted
    totals = data.report["totals"]
    assert (data.examples, totals["bad_lines"]) == (good, lines)
    assert totals["dropped"].items() >= dropped.items()
    assert all(kind.name in file["first"] for file in data.report["bad_lines"])


@pytest.mark.parametrize("name", [name for name in KINDS if name != "gettext"])
def test_a_store_that_fails_every_third_read(name, tmp_path, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    monkeypatch.setattr(FailingFileSystem, "calls", 1)
    fsspec.register_implementation("failing", FailingFileSystem, clobber=True)
    store, kind = fsspec.filesystem("failing"), KINDS[name]
    write(kind, kind.content().encode(), tmp_path, None)
    for path in tmp_path.iterdir():
        store.pipe_file(f"/bad/{path.name}", path.read_bytes())
    assert gather(config(kind.source, "failing://bad", tmp_path / "cache"), 0).examples == ROWS
    assert waits
    store.rm("/bad", recursive=True)


PARQUET = {"anchor": [f"a {n}" for n in range(ROWS)], "positive": [f"b {n}" for n in range(ROWS)]}


@pytest.mark.parametrize("kind", ["parquet", "tsv"])
@pytest.mark.parametrize("damage", ["none", "cut", "head", "middle", "empty", "fields", "UTF-8", "10 MB", "failing"])
def test_parquet(kind, damage, tmp_path, monkeypatch):
    columns: dict[str, Any] = {name: list(texts) for name, texts in PARQUET.items()}
    if damage == "fields":
        columns["positive"][7] = None
    if damage == "10 MB":
        columns["positive"][7] = "x" * (10 << 20)
    if damage == "UTF-8":
        texts = pa.array([text.encode() if n != 7 else b"sch\xf6n" for n, text in enumerate(columns["positive"])])
        columns["positive"] = pa.StringArray.from_buffers(ROWS, *texts.buffers()[1:])
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path, write_page_checksum=True)
    whole = path.read_bytes()
    middle = whole[: len(whole) // 4] + bytes(60) + whole[len(whole) // 4 + 60 :]
    path.write_bytes({"cut": whole[:-20], "head": whole[:10], "empty": b"", "middle": middle}.get(damage, whole))
    source: Source = ParquetSource(path="x.parquet")
    if kind == "tsv":
        source = TsvSource(path="x.parquet", anchor_column="anchor", positive_column="positive", positive_lang="en")
    root = str(tmp_path)
    if damage == "failing":
        monkeypatch.setattr(stores.time, "sleep", lambda _: None)
        fsspec.register_implementation("failing", FailingFileSystem, clobber=True)
        fsspec.filesystem("failing").pipe_file("/bad/x.parquet", whole)
        root = "failing://bad"
    if damage in ("cut", "head", "middle", "empty"):
        with pytest.raises(UserError, match=r"x\.parquet: the file is (truncated or corrupt .*; fetch it again|empty)"):
            gather(config(source, root, tmp_path / "cache"), 0)
        return
    data = gather(config(source, root, tmp_path / "cache"), 0)
    one_less = damage not in ("none", "failing")
    assert data.examples == ROWS - one_less
    counted = data.report["totals"]["bad_lines"] + data.report["totals"]["dropped"].get("empty", 0)
    assert counted == one_less
