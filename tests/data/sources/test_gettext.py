import codecs
import importlib.metadata

import pytest

from data.conftest import compiled_catalogue
from jaxemb.config import GettextSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.data.sources.gettext import licence, without_accelerators
from jaxemb.errors import UserError
from jaxemb.readers.gettext import parse_po
from jaxemb.readers.lines import BadLine


def read(package, **settings):
    parts = source_parts(GettextSource(packages=(package,), **settings), None)
    return parts, [item for part in parts for item in part.read()]


def catalogue(locale, domain="app.mo"):
    return f"pkg/locale/{locale}/LC_MESSAGES/{domain}"


def test_messages_become_pairs(install):
    messages = {
        "Save _as": "Speichern _unter",
        "menu\x04Open": "Öffnen",
        "%d file\0%d files": "%d Datei\0%d Dateien",
        "Untranslated": "",
    }
    install("pkg-pairs", {catalogue("pt_BR"): compiled_catalogue(messages), catalogue("en_GB"): b"never read"})
    (part,), items = read("pkg-pairs")
    assert (part.source, part.licence) == ("pkg-pairs 1.0", "MIT")
    assert [(item.anchor, item.positive) for item in items] == [
        ("%d file", "%d Datei"),
        ("Save as", "Speichern unter"),
        ("Open", "Öffnen"),
    ]
    assert items[2] == Record(
        "Open",
        "Öffnen",
        anchor_lang="en",
        positive_lang="pt-BR",
        source="pkg-pairs 1.0",
        id="pkg/locale/pt_BR/LC_MESSAGES/app.mo:5",
    )


def test_plones_own_code_of_friulian(install):
    """plone.app.locales: locales/fu/LC_MESSAGES/plone.po says `Language-Code: fu`, `Language-Name: Furlan`."""
    install("pkg-fu", {catalogue("fu"): compiled_catalogue({"Open": "Vierç"})})
    assert read("pkg-fu", languages=("fur",))[1][0].positive_lang == "fur"


@pytest.mark.parametrize(
    ("charset", "bad"),
    [("utf-7", b"+2D0-"), ("raw_unicode_escape", b"a\\ud83d"), ("punycode", b"a b"), ("hex", b"\xff")],
)
def test_charsets_that_are_none_or_give_no_text(charset, bad):
    header = f'msgid ""\nmsgstr "Content-Type: text/plain; charset={charset}\\n"\n'
    good = "Vier" if charset != "punycode" else "Vier-"
    messages = f'\nmsgid "Open"\nmsgstr "{good}"\n\nmsgid "Close"\nmsgstr "'.encode()
    *_, bad_line = (item for item in parse_po(header.encode() + messages + bad + b'"\n') if isinstance(item, BadLine))
    assert bad_line.reason == f"not {'utf-8' if charset == 'hex' else codecs.lookup(charset).name}"


def test_the_plural_formula_is_never_run(install):
    # It would abort the test (see `compiled_catalogue`).
    install("pkg-evil", {catalogue("de"): compiled_catalogue({"Open": "Öffnen"})})
    assert len(read("pkg-evil")[1]) == 1


def test_more_than_three_plural_forms_are_skipped(install):
    install("pkg-forms", {catalogue("ar"): compiled_catalogue({"%d file\0%d files": "a\0b\0c\0d\0e\0f"})})
    assert read("pkg-forms")[1] == [Skipped("ar", "plural_forms")]


def test_message_keys_are_resolved_or_skipped(install):
    template = '#. Default: "Add a user"\nmsgid "label_add_user"\nmsgstr ""\n'
    install(
        "pkg-keys",
        {
            "pkg/locale/app.pot": template.encode(),
            catalogue("en"): compiled_catalogue({"help.text": "Read the manual"}),
            catalogue("de"): compiled_catalogue(
                {"label_add_user": "Benutzer zufügen", "help.text": "Handbuch lesen", "label_other": "Anderes"}
            ),
        },
    )
    parts, items = read("pkg-keys")
    assert [(item.anchor, item.positive) for item in items if isinstance(item, Record)] == [
        ("Read the manual", "Handbuch lesen"),
        ("Add a user", "Benutzer zufügen"),
    ]
    assert [item for item in items if isinstance(item, Skipped)] == [Skipped("de", "message_key")]
    assert len(parts[0].paths) == 3  # a change of the English text makes the cache stale


def test_source_catalogues_count_where_there_is_no_compiled_one(install):
    po = 'msgid "Open"\nmsgstr "Ouvrir"\n\n#, fuzzy\nmsgid "Close"\nmsgstr "Ouvrir"\n'
    install(
        "pkg-po",
        {
            catalogue("fr", "app.po"): po.encode(),
            catalogue("de", "app.po"): b"the compiled one wins",
            catalogue("de"): compiled_catalogue({"Open": "Öffnen"}),
        },
    )
    items = read("pkg-po")[1]
    assert [item.positive for item in items if isinstance(item, Record)] == ["Öffnen", "Ouvrir"]
    assert Skipped("fr", "fuzzy") in items
    (shown,) = [item.record for item in items if isinstance(item, Skipped) and item.reason == "fuzzy"]
    assert (shown.anchor, shown.positive) == ("Close", "Ouvrir")


def test_languages_can_be_chosen(install):
    mo = compiled_catalogue({"Open": "x"})
    install("pkg-languages", {catalogue(locale): mo for locale in ("de", "fr", "sr@latin")})
    assert [item.positive_lang for item in read("pkg-languages", languages=("fr", "sr-Latn"))[1]] == ["fr", "sr-Latn"]
    with pytest.raises(UserError, match=r"pkg-languages have no catalogue in 'ja', only in de, fr, sr-Latn"):
        read("pkg-languages", languages=("fr", "ja"))


def test_errors(install):
    with pytest.raises(UserError, match=r"no-such-package is not installed; run `pip install no-such-package`"):
        read("no-such-package")
    install("pkg-empty", {"pkg/code.py": b""})
    with pytest.raises(UserError, match=r"pkg-empty has no translated"):
        read("pkg-empty")
    install("pkg-broken", {catalogue("de"): b"broken"})
    with pytest.raises(UserError, match=r"app\.mo: not a compiled gettext catalogue; reinstall"):
        read("pkg-broken")
    site = install("pkg-gone", {catalogue("de"): b""})
    (site / catalogue("de")).unlink()
    # Python 3.12 leaves out of a distribution's files those that are not there.
    with pytest.raises(UserError, match=r"app\.mo: cannot be read .*reinstall|pkg-gone has no translated"):
        read("pkg-gone")


@pytest.mark.parametrize(
    ("metadata", "stated"),
    [
        ("License-Expression: GPL-2.0-only\nLicense: old\n", "GPL-2.0-only"),
        ("License: BSD\n", "BSD"),
        (f"License: {'whole text ' * 20}\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("", None),
    ],
)
def test_licence(install, metadata, stated):
    install("pkg-licence", {}, metadata)
    assert licence(importlib.metadata.distribution("pkg-licence")) == stated


@pytest.mark.parametrize(
    ("english", "translation", "expected"),
    [
        ("_File", "_Datei", ("File", "Datei")),
        ("&Edit", "&Bearbeiten", ("Edit", "Bearbeiten")),
        ("_Open...", "開く(_O)...", ("Open...", "開く...")),
        ("file_name", "Datei_name", ("file_name", "Datei_name")),
        ("Tom &amp; Jerry", "Tom &amp; Jerry", ("Tom &amp; Jerry", "Tom &amp; Jerry")),
        ("a=1&b=2", "a=1&b=2", ("a=1&b=2", "a=1&b=2")),
        ("File", "_Datei", ("File", "_Datei")),
    ],
)
def test_accelerators(english, translation, expected):
    assert without_accelerators(english, translation) == expected


def test_an_installed_package():
    pytest.importorskip("django")
    parts, items = read("Django", languages=("de", "ja", "zh-Hans"))
    assert parts[0].licence == "BSD-3-Clause"
    records = [item for item in items if isinstance(item, Record)]
    assert len(records) > 1500
    assert {"Yes": "Ja", "No": "Nein"}.items() <= {
        r.anchor: r.positive for r in records if r.positive_lang == "de"
    }.items()
