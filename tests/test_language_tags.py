import pytest

from jaxemb.config import (
    GettextSource,
    JsonlSource,
    MosesSource,
    NliSource,
    StsSource,
    TextSource,
    TfdsSource,
    TsvSource,
)
from jaxemb.config.files import validate
from jaxemb.data.pairs.languages import pair_language
from jaxemb.errors import UsageError
from jaxemb.language_tags import checked_language, is_english, language_tag


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("de", "de"),
        ("pt_BR", "pt-BR"),
        ("pt-br", "pt-BR"),
        ("zh_Hans", "zh-Hans"),
        ("zh-hant", "zh-Hant"),
        ("zh_CN", "zh-Hans"),
        ("zh_TW", "zh-Hant"),
        ("zh_HK", "zh-HK"),
        ("sr@latin", "sr-Latn"),
        ("be-latn", "be-Latn"),
        ("uz@Cyrillic", "uz-Cyrl"),
        ("ca@valencia", "ca-valencia"),
        ("de_DE.UTF-8", "de-DE"),
        ("es_419", "es-419"),
        ("no", "nb"),
        ("ckb", "ckb"),
        ("de@euro", None),
        ("templates", None),
        ("x", None),
        ("", None),
    ],
)
def test_language_tag(name, tag):
    assert language_tag(name) == tag


# The names of FLORES-200 (github.com/facebookresearch/flores, flores200/README.md), Tatoeba (ISO 639-3, in LASER's
# data/tatoeba/v1) and of ISO 639-2/B (`ger`).
@pytest.mark.parametrize(
    ("names", "tag"),
    [
        (("en", "EN", "eng", "ENG", "eng_Latn", "eng-latn", "en_Latn", "en@latin"), "en"),
        (("en-GB", "en_gb", "eng_GB", "eng-Latn-GB", "en_GB.UTF-8"), "en-GB"),
        (("de", "deu", "ger", "deu_Latn"), "de"),
        (("ar", "ara", "arb", "arb_Arab"), "ar"),
        (("ar-Latn", "arb_Latn"), "ar-Latn"),
        (("zh", "zho", "chi", "cmn"), "zh"),
        (("zh-Hans", "zho_Hans", "zh_CN"), "zh-Hans"),
        (("zh-Hant", "zho_Hant", "cmn_hant"), "zh-Hant"),
        (("yue", "yue_Hant"), "yue"),
        (("ko", "kor", "kor_Hang"), "ko"),
        (("sr", "srp", "srp_Cyrl"), "sr"),
        (("sr-Latn", "srp_Latn", "sr@latin", "sh", "hbs"), "sr-Latn"),
        (("nb", "nob", "nob_Latn", "no", "nor"), "nb"),
        (("fa", "fas", "per", "pes", "pes_Arab"), "fa"),
        (("uz", "uzn_Latn", "uz@latin"), "uz"),
        (("ku", "kmr_Latn"), "ku"),
        (("ceb", "ceb_Latn"), "ceb"),
        (("tl", "tgl", "tgl_Latn"), "tl"),
        (("yi", "ydd_Hebr", "ji"), "yi"),
        (("he", "heb", "iw"), "he"),
    ],
)
def test_all_names_of_a_language_are_one_tag(names, tag):
    assert {name: language_tag(name) for name in names} == dict.fromkeys(names, tag)


def test_tags_of_two_letters_stay():
    """The names of languages in reports, and of their held-out pools, are those of before."""
    codes = (
        "af am ar az be bg bn br bs ca cs cy da de el eo es et eu fa fi fr fy ga gd gl he hi hr ht hu hy ia id ig io"
    )
    codes += " is it ja ka kk km kn ko ky lb lt lv mi mk ml mn mr ms my nb ne nl nn os pa pl pt rm ro ru sk sl sm sq"
    codes += " sr sv sw ta te tg th tk tl to tr tt tw ug uk ur uz vi zh ast ckb dsb fil hsb kab udm"
    codes += " ar-DZ de-AT es-MX mk-MK pt-BR sr-Latn zh-HK zh-Hans zh-Hant zh-Hant-HK"
    assert [language_tag(code) for code in codes.split()] == codes.split()


def test_codes_that_are_not_registered_keep_their_name_in_files():
    assert [language_tag(name) for name in ("fu", "xx", "XX_yy")] == ["fu", "xx", "xx-YY"]


def test_english():
    assert all(map(is_english, ("en", "en-GB", "EN", "eng", "eng_Latn", "en-Shaw")))
    assert not any(map(is_english, ("eo", "enm", "de", "", "english-like")))


def test_the_language_of_a_pair_under_other_names_of_english():
    assert pair_language("eng", "de") == pair_language("de", "EN") == pair_language("eng_Latn", "de") == "de"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("english", "en"),
        ("German", "de"),
        ("deutsch", "de"),
        ("jp", "ja"),
        ("cn", "zh"),
        ("ua", "uk"),
        ("friulian", "fur"),
    ],
)
def test_the_language_that_was_meant(name, meant):
    with pytest.raises(
        ValueError, match=rf"^unknown language, perhaps '{meant}' is meant; expected a tag of BCP 47 \(en, "
    ):
        checked_language(name)


@pytest.mark.parametrize("name", ["fu", "xx", "", "x", "und", "de-Xxxx", "klingon speakers", "日本"])
def test_what_is_no_language_is_refused(name):
    with pytest.raises(ValueError, match=r"^unknown language, perhaps '[a-z]{2,3}' is meant; expected a tag of BCP 47"):
        checked_language(name)


SETTINGS = [
    (GettextSource, {"packages": ["Django"]}, "languages"),
    (TsvSource, {"path": "x"}, "anchor_lang"),
    (TsvSource, {"path": "x"}, "positive_lang"),
    (MosesSource, {"anchor_path": "x", "positive_path": "y", "positive_lang": "de"}, "anchor_lang"),
    (MosesSource, {"anchor_path": "x", "positive_path": "y"}, "positive_lang"),
    (TextSource, {"path": "x"}, "language"),
    (NliSource, {"path": "x"}, "language"),
    (StsSource, {"path": "x"}, "language"),
    (JsonlSource, {"path": "x"}, "anchor_lang"),
    (JsonlSource, {"path": "x"}, "positive_lang"),
    (TfdsSource, {"name": "x"}, "anchor_lang"),
    (TfdsSource, {"name": "x"}, "positive_lang"),
]


@pytest.mark.parametrize(
    ("source", "needed", "key"), SETTINGS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_every_setting_of_a_language_holds_its_tag(source, needed, key):
    def given(name):
        return {**needed, key: [name] if key == "languages" else name}

    for name, tag in (("eng_Latn", "en"), ("EN", "en"), ("zho_Hans", "zh-Hans"), ("de", "de")):
        value = getattr(validate(source, given(name), "config.yaml"), key)
        assert value == ((tag,) if key == "languages" else tag)
    with pytest.raises(
        UsageError, match=rf"config.yaml: {key}.*: unknown language, perhaps 'en' is meant; .*, got 'englsh'"
    ):
        validate(source, given("englsh"), "config.yaml")
