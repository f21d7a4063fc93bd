import pytest

from jaxemb.data.pairs.languages import is_english, language_tag


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


def test_english():
    assert is_english("en")
    assert is_english("en-GB")
    assert not is_english("eo")
    assert not is_english("enm")
