"""The page of `jaxemb data inspect`: its numbers, what it leaves out, and how a browser shows it."""

import re

import numpy as np
import pytest

from jaxemb.reporting import data_page as module
from jaxemb.reporting.data_page import data_page, data_sections
from support.data_report import report_of_two_sources


def test_every_section_has_its_numbers():
    page = data_page("my <config>.yaml", report_of_two_sources())
    assert "<h1>my &lt;config&gt;.yaml</h1>" in page
    assert "1,334 examples to train on · 2 languages · 20 held out · 46 dropped" in page
    for heading in ("Sizes", "What was dropped", "Lengths", "Padding", "Random pairs"):
        assert f"<h2>{heading}</h2>" in page
    for cells in (
        "<td>all</td><td>1,400</td><td>1,334</td><td>20</td><td>46</td><td>6</td>",
        "<td>fr</td><td>100</td><td>100</td><td>0</td><td>0</td><td>0</td>",
        "<td>en-de.tsv</td><td>1</td><td>1,260</td><td>unknown</td>",
        "<td>en-de.tsv</td><td>1,234</td><td>20</td><td>6</td>",
        "<td>&lt;b&gt;fr&lt;/b&gt;</td><td>en – fr</td><td>100</td><td>0</td><td>0</td>",
        "<td>duplicate</td><td>6</td>",
        "<td>de</td><td>6</td><td>40</td>",
        '<td class="text" dir="auto">&lt;i&gt;again&lt;/i&gt;</td><td class="text" dir="auto">wieder</td>'
        '<td class="place">en-de.tsv:7</td>',
        # 20 texts: 1 of length 1, 5 of 2, 8 of 3, 1 of 4, 4 of 5, 1 of 6.
        "<td>all</td><td>20</td><td>3.25</td><td>3</td><td>5</td><td>6</td><td>6</td>",
        "<td>de</td><td>10</td><td>2.90</td><td>3</td><td>3</td><td>4</td><td>4</td>",
        "<td>de</td><td>200</td><td>1.5%</td><td>2.5%</td>",
        "<td>null (packed): this config</td><td>3.1%</td><td>3</td>",
        "<td>2, 5</td><td>25.0%</td><td>2</td>",
        '<td class="text" dir="auto">no</td><td class="place">en-de.tsv:1</td>',
        '<td class="text" dir="auto">un</td><td>0.50</td><td class="place">fr:2</td>',
    ):
        assert cells in page, cells
    assert "in batches of 1,024 examples" in page


def test_texts_are_text_and_nothing_is_fetched():
    page = data_page("<script>", report_of_two_sources())
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "Ä &quot;und&quot; &amp; ö" in page
    assert not re.search(r"<(script|b|i)>|<img src=x", page)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def test_what_is_not_known_is_left_out():
    nothing = {"read": 3, "train": 3, "heldout": 0, "dropped": {}}
    report = {"totals": nothing, "languages": {"de": nothing}, "bad_lines": [], "sources": []}
    sections = data_sections(report, "h3")
    assert [re.match("<h3>(.*)</h3>", section)[1] for section in sections] == ["Sizes", "What was dropped"]
    assert "Nothing was dropped." in sections[1]
    assert "data.sources" not in sections[0]
    assert (
        "<p>Not known: too few &lt;pairs&gt;.</p>"
        in data_sections(report | {"padding_unknown": "too few <pairs>"}, "h2")[2]
    )
    of_prepared = report | {"pairs": {"of": "heldout", "languages": {}}}
    assert "none are held out" in data_sections(of_prepared, "h2")[2]
    one = report_of_two_sources()["pairs"]["languages"]["fr"]
    assert "Held-out pairs" in data_sections(report | {"pairs": {"of": "heldout", "languages": {"fr": one}}}, "h2")[2]


def test_without_matplotlib_or_a_tokenizer_it_says_what_is_missing(monkeypatch):
    report = report_of_two_sources()
    monkeypatch.setattr(module, "has_matplotlib", lambda: False)
    assert "pip install &#x27;jaxemb[plots]&#x27;" in data_page("a", report).replace("'", "&#x27;")
    assert "<img " not in data_page("a", report)
    report["lengths"] = {"unit": "characters", "special": 0, "languages": {"de": [0, 2]}}
    assert "lengths in tokens and padding need a tokenizer" in data_page("a", report)


def test_many_languages_are_folded():
    report = report_of_two_sources()
    few = data_page("a", report)
    one = report["pairs"]["languages"]["fr"]
    report["pairs"]["languages"] = {f"x{number}": one for number in range(4)}
    many = data_page("a", report)
    assert "<details open><summary>fr: 1</summary>" in few
    assert "<details><summary>x3: 1</summary>" in many


@pytest.mark.parametrize("counts", [[0, 5], [3], [1] * 7, [0, 0, 2, 0, 0, 0, 9]])
def test_quantiles_are_the_smallest_length_that_covers_the_share(counts):
    texts = np.repeat(np.arange(len(counts)), counts)
    total, mean, *quantiles, longest = module._spread(np.array(counts))
    assert (total, longest) == (len(texts), texts.max())
    assert mean == pytest.approx(texts.mean())
    for share, found in zip((0.5, 0.9, 0.99), quantiles, strict=True):
        assert found == np.quantile(texts, share, method="inverted_cdf")
