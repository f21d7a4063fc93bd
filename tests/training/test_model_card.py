"""The languages in the model card of a run."""

import pytest

from jaxemb.config import DataConfig, GettextSource, JsonlSource, MosesSource, NliSource, TextSource, TsvSource
from jaxemb.reporting.model_card import languages_of


def moses(first, second):
    return MosesSource(anchor_path="a", positive_path="b", anchor_lang=first, positive_lang=second)


@pytest.mark.parametrize(
    ("sources", "reported", "languages"),
    [
        ([TsvSource(path="en-*.tsv")], ["de", "pt-BR"], ("de", "en", "pt-BR")),
        ([GettextSource(packages=("Django",))], ["de"], ("de", "en")),
        ([moses("de", "eng")], ["de"], ("de", "en")),
        ([moses("de", "fr")], ["de-fr"], ("de", "fr")),
        ([moses("pt-BR", "zh-Hans"), moses("en", "pt-BR")], ["pt-BR-zh-Hans", "pt-BR"], ("en", "pt-BR", "zh-Hans")),
        ([TsvSource(path="de-*.tsv", anchor_lang="de")], ["de-fr"], ("de", "fr")),
        ([TsvSource(path="de-*.tsv", anchor_lang="de")], ["de", "de-fr"], ("de", "en", "fr")),
        ([TextSource(path="de.txt", language="de")], ["de"], ("de",)),
        ([TextSource(path="*.txt", language=None)], ["de", "en"], ("de", "en")),
        ([NliSource(path="x", language="de")], ["de"], ("de",)),
        ([JsonlSource(path="x", positive_key=None, anchor_lang="de")], ["de"], ("de",)),
        ([JsonlSource(path="x")], ["en"], ("en",)),
    ],
)
def test_languages_of_the_texts(sources, reported, languages):
    assert languages_of(DataConfig(sources=tuple(sources)), reported) == languages
