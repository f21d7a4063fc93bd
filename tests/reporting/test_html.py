"""Parts of pages: tables, pictures and documents."""

import base64

from jaxemb.reporting.html import Place, Text, details, document, picture, table


def test_a_table_writes_each_kind_of_value():
    shown = table(
        "a & b", ["name", "n", "x", "text"], [["<b>", 1234, 0.5, Text("ä\n<")], ["c", None, 2.0, Place("f:1")]]
    )
    assert "<caption>a &amp; b</caption>" in shown
    assert '<td>&lt;b&gt;</td><td>1,234</td><td>0.50</td><td class="text" dir="auto">ä\n&lt;</td>' in shown
    assert '<td>c</td><td></td><td>2.00</td><td class="place">f:1</td>' in shown
    assert '<th>x</th><th class="text">text</th>' in shown
    assert "<tr><th>name</th></tr>" in table("", ["name"], [])


def test_a_document_holds_its_sections():
    page = document("<title>", ["<p>one</p>", "", "<p>two</p>"])
    assert "<title>&lt;title&gt;</title>" in page
    assert "<body>\n<p>one</p>\n<p>two</p>\n</body>" in page


def test_a_picture_is_in_the_page():
    shown = picture("<svg/>", 'a "picture"')
    assert 'alt="a &quot;picture&quot;"' in shown
    assert base64.b64decode(shown.split("base64,")[1].split('"')[0]) == b"<svg/>"


def test_details_are_folded_unless_opened():
    assert details("<x>", "<p>y</p>") == "<details><summary>&lt;x&gt;</summary><p>y</p></details>"
    assert details("x", "y", opened=True).startswith("<details open>")
