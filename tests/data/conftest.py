import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TsvSource
from jaxemb.data import Gathered, gather

VERBS = ("open", "close", "save", "delete", "rename", "copy", "print", "share", "archive", "restore")
THINGS = ("file", "folder", "window", "message", "account", "picture", "document", "calendar", "note", "printer")
WHERE = ("now", "later", "on the server", "at home", "for everybody")
GERMAN = (
    "öffnet schließt sichert löscht benennt kopiert druckt teilt archiviert erneuert Datei Ordner Fenster Nachricht "
    "Konto Bild Dokument Kalender Notiz Drucker jetzt später dort daheim allen"
)
JAPANESE = (
    "開く 閉じる 保存 削除 改名 複写 印刷 共有 保管 復元 書類 棚 窓 手紙 口座 絵 文書 暦 覚書 印刷機 今 後で 鯖 家 皆"
)


def sentences() -> list[tuple[str, str, str]]:
    """500 triples English, German, Japanese."""
    german, japanese = (dict(zip(VERBS + THINGS + WHERE, words.split(), strict=True)) for words in (GERMAN, JAPANESE))
    return [
        (
            f"{verb} the {thing} {where}",
            *(f"{words[thing]} {words[verb]} {words[where]}" for words in (german, japanese)),
        )
        for verb in VERBS
        for thing in THINGS
        for where in WHERE
    ]


def write_corpus(folder: Path) -> DataConfig:
    """500 pairs of English with German, 300 with Japanese, 40 a language to be held out."""
    triples = sentences()
    (folder / "en-de.tsv").write_text("".join(f"{en}\t{de}\n" for en, de, _ in triples))
    (folder / "en-ja.tsv").write_text("".join(f"{en}\t{ja}\n" for en, _, ja in triples[:300]))
    return DataConfig(
        root=str(folder),
        sources=(TsvSource(path="en-*.tsv"),),
        holdout=HoldoutConfig(pairs_per_language=40),
        cache_dir=str(folder / "cache"),
        max_length=32,
        length_buckets=(8, 16, 32),
        window=4,
    )


@pytest.fixture
def data_config(tmp_path: Path) -> DataConfig:
    """A corpus that the test may change."""
    return write_corpus(tmp_path)


@pytest.fixture(scope="session")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    return gather(write_corpus(tmp_path_factory.mktemp("corpus")), seed=0)


def compiled_catalogue(messages: Mapping[str, str], order: str = "<") -> bytes:
    """A `.mo` file, with the header's entry first as msgfmt writes it."""
    header = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=__import__('os').abort();\n"
    entries = sorted((key.encode(), text.encode()) for key, text in {"": header, **messages}.items())
    count = len(entries)
    start = 28 + 16 * count
    tables, blob = ([], []), b""
    for side in (0, 1):
        for entry in entries:
            tables[side].extend((len(entry[side]), start + len(blob)))
            blob += entry[side] + b"\0"
    fields = (0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0, *tables[0], *tables[1])
    return struct.pack(f"{order}{len(fields)}I", *fields) + blob


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a distribution with these files on the path, as pip would."""

    def _install(name: str, files: Mapping[str, bytes], metadata: str = "License-Expression: MIT\n") -> Path:
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
        for file, content in files.items():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_bytes(content)
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, f"{info.name}/METADATA")))
        monkeypatch.syspath_prepend(site)
        return site

    return _install
