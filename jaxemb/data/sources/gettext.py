"""Translation catalogues of installed Python packages: human translations of English messages."""

import functools
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from jaxemb.config import GettextSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart
from jaxemb.errors import UserError
from jaxemb.language_tags import is_english, language_tag
from jaxemb.readers.gettext import Message, parse_mo, parse_po
from jaxemb.readers.lines import BadLine

# `label_add_user`, `help.text`: a name for the English text, not the text.
_MESSAGE_KEY = re.compile(r"[A-Za-z0-9]+(?:[_.-][A-Za-z0-9]+)*[_.][A-Za-z0-9]+(?:[_.-][A-Za-z0-9]+)*")
# The access key of a menu entry: GTK's `_File`, Qt's `&File`, and `文件(_F)` in scripts without such keys.
_UNDERSCORE = re.compile(r"(?<![\w/])_(?=[^\W_])")
_AMPERSAND = re.compile(r"(?<![\w=])&(?=[^\W\d_])(?!#?\w+;)")
_BRACKETED_KEY = re.compile(r"\s*[(（][_&]\w[)）]")
# Plone's catalogues of Friulian have the header `Language-Code: fu`, which is no code of ISO 639.
_OWN_NAMES = {"fu": "fur"}
# With more than three plural forms, the first is often not the singular (Arabic: zero; Slovenian: five and more).
_MOST_PLURAL_FORMS = 3


def parts(config: GettextSource) -> list[SourcePart]:
    """One part for each catalogue of the packages that is not English.

    Raises:
      UserError: if a package is not installed or has no catalogue, or no catalogue has a requested language.
    """
    found = [part for package in config.packages for part in _package_parts(package)]
    if config.languages is None:
        return [part for _, part in found]
    there = {language for language, _ in found}
    for language in config.languages:
        if language not in there:
            raise UserError(
                f"data.sources languages: {', '.join(config.packages)} have no catalogue in {language!r}, only in "
                f"{', '.join(sorted(there))}"
            )
    return [part for language, part in found if language in config.languages]


def _package_parts(package: str) -> list[tuple[str, SourcePart]]:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"data.sources packages: {package} is not installed; run `pip install {package}` "
            "(`pip install 'jaxemb[quickstart]'` brings what the config `quickstart` needs)"
        ) from None
    source = f"{distribution.metadata['Name']} {distribution.version}"
    terms = licence(distribution)
    result = []
    for path, name in _catalogues(distribution):
        language = _language(path)
        if language is None or is_english(language):
            continue
        english = _english_catalogues(path)
        read = functools.partial(_read, path, language, source, name, english)
        result.append((language, SourcePart(str(path), (path, *english), source, terms, read)))
    if not result:
        raise UserError(f"data.sources packages: {package} has no translated .mo or .po file")
    return result


def licence(distribution: importlib.metadata.Distribution) -> str | None:
    """The licence in a package's metadata, as an SPDX expression if there is one."""
    metadata = distribution.metadata
    for field in ("License-Expression", "License"):
        for stated in metadata.get_all(field, []):
            if 0 < len(stated.strip()) < 60 and "\n" not in stated:  # some packages put the whole licence there
                return stated.strip()
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if c.startswith("License")]
    return ", ".join(classifiers) or None


def _catalogues(distribution: importlib.metadata.Distribution) -> list[tuple[Path, str]]:
    """The package's catalogues, with their names for messages; the compiled one if both forms exist."""
    if distribution.files is None:
        raise UserError(
            f"data.sources packages: {distribution.metadata['Name']} does not list its files; install it with pip"
        )
    found: dict[Path, tuple[Path, str]] = {}
    for file in sorted(distribution.files, key=lambda file: file.suffix != ".po"):  # .mo last: it wins
        if file.suffix in (".mo", ".po"):
            path = Path(str(distribution.locate_file(file))).resolve()
            found[path.with_suffix("")] = (path, str(file).replace("../", ""))
    return [found[key] for key in sorted(found)]


def _language(path: Path) -> str | None:
    """The language of `.../de/LC_MESSAGES/domain.mo`, or of `.../de.po` without such a folder."""
    name = path.parents[1].name if path.parent.name == "LC_MESSAGES" else path.stem
    return language_tag(_OWN_NAMES.get(name, name))


def _english_catalogues(path: Path) -> tuple[Path, ...]:
    """Files that may have the English text of this catalogue's message keys."""
    if path.parent.name != "LC_MESSAGES":
        return ()
    locales = path.parents[2]
    candidates = (
        locales / f"{path.stem}.pot",
        locales / f"{path.stem}-manual.pot",
        locales / "en" / "LC_MESSAGES" / f"{path.stem}.mo",
    )
    return tuple(candidate for candidate in candidates if candidate.is_file())


@functools.lru_cache(maxsize=8)
def _english_texts(paths: tuple[Path, ...]) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for path in paths:
        for message in _messages(path):
            if isinstance(message, Message) and (text := message.default or message.translation):
                texts[message.english] = text
    return texts


def _messages(path: Path) -> Iterator[Message | BadLine]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); reinstall the package") from error
    return parse_mo(data, str(path)) if path.suffix == ".mo" else parse_po(data)


def _read(
    path: Path, language: str, source: str, name: str, english_paths: tuple[Path, ...]
) -> Iterator[Record | BadLine | Skipped]:
    english_texts = _english_texts(english_paths)
    for message in _messages(path):
        if isinstance(message, BadLine):
            yield message
            continue
        english, translation = message.english, message.translation
        if not translation:
            continue
        if _MESSAGE_KEY.fullmatch(english):
            english = message.default or english_texts.get(english, "")
        reason = "message_key" if not english else "fuzzy" if message.fuzzy else None
        if reason is None and message.forms > _MOST_PLURAL_FORMS:
            reason = "plural_forms"
        if reason is not None:
            shown = Record(english or message.english, translation, id=f"{name}:{message.number}")
            yield Skipped(language, reason, shown)
        else:
            english, translation = without_accelerators(english, translation)
            yield Record(
                english,
                translation,
                anchor_lang="en",
                positive_lang=language,
                source=source,
                id=f"{name}:{message.number}",
            )


def without_accelerators(english: str, translation: str) -> tuple[str, str]:
    """Both sides without the mark of a menu's access key, if the English side has exactly one.

    >>> without_accelerators("Save _As...", "Speichern _unter...")
    ('Save As...', 'Speichern unter...')
    >>> without_accelerators("_File", "文件(_F)")
    ('File', '文件')
    >>> without_accelerators("Q&A for A & B", "F&A")
    ('Q&A for A & B', 'F&A')
    """
    for character, mark in (("_", _UNDERSCORE), ("&", _AMPERSAND)):
        if english.count(character) == 1 and mark.search(english):
            translation = mark.sub("", _BRACKETED_KEY.sub("", translation))
            return mark.sub("", english), translation
    return english, translation
