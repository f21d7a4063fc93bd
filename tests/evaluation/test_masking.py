import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.evaluation.masking import brand_names, mask_pair, mask_placeholders


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("User %(name)s has %(count)d items", "User has items"),
        ("%s of %d, %.2f and %1$s", "of and"),
        ("50% de usuarios", "de usuarios"),
        ("%d%% done", "done"),
        ("Hello {name}, {0} and {x!r:>10}", "Hello and"),
        ("{{ x }} is {% trans y %} set", "is set"),
        ("Move ${title} to $folder", "Move to"),
        ("{count, plural, one {# item} other {# items}}", ""),
        ("Save&nbsp;it &#38; close &amp; go", "Save it close go"),
        ('<a href="/x">here</a> or <br/> there', "here or there"),
        ("a < b and c > d", "a b and c d"),
        ("See :ref:`some text <label>` and :py:const:`SIGALRM`.", "See some text and"),
        ("``None`` or |release| works", "or works"),
        ("at https://x.org/a?b=1 or www.x.org", "at or"),
        ("https://x.org/zを参照", "を参照"),
        ("[text](http://a.b/c)", "[text]"),
        ("mail me@x.org now", "mail now"),
        ("open /usr/lib/x and ~/a or ../b", "open and or"),
        (r"in C:\Users\x there", "in there"),
        ("run setup.py on *.csv", "run on"),
        ("he/she and/or them", "he/she and/or them"),
        ("U.S. of A., e.g. this", "U.S. of A., e.g. this"),
        ("12 of 3,5 at 10:30 (2024-01-31)", "of at"),
        ("१२३ अंक", "अंक"),
        ("٣٫٥ درجة", "درجة"),
        ("x² and ½", "x and"),
        ("_File, E_xit, &Open, ファイル(_F)", "File, Exit, Open, ファイル"),
        ("R&D", "R&D"),
        ("🎉 Party → now for 50 €", "Party now for"),
        ('Page "%(title)s" (%(n)d) 「{x}」を', "Page を"),
        ("  spaces\t are \n single ", "spaces are single"),
        ("Plain sentence, untouched.", "Plain sentence, untouched."),
        ("", ""),
    ],
)
def test_what_is_masked_and_what_stays(text, masked):
    assert mask_placeholders(text) == masked


def test_brands_are_masked_as_whole_words():
    assert mask_placeholders("Django, Djangos and Djangoの", {"Django"}) == "Djangos and の"


@given(st.text(alphabet="aB7%(){}$<>&:`/._ \\\"'|#@-é日\ue000\n", max_size=60))
def test_any_text_can_be_masked_and_masking_again_adds_nothing(text):
    masked = mask_placeholders(text)
    assert not any(character.isdigit() or character == "\ue000" for character in masked)
    assert masked == " ".join(masked.split())
    assert len(masked) <= len(text)


def test_a_cross_script_pair_shares_no_word():
    anchor, positive = mask_pair("The URLs of the CSV API and Wagtail's api", "URL для csv-API и Wagtail", latin=False)
    assert anchor == "The URLs of the and 's"
    assert positive == "для и"


def test_latin_words_are_found_within_another_script():
    assert mask_pair("Markdown link", "Markdownリンク", latin=False) == ("link", "リンク")


def test_a_latin_pair_loses_shared_names_and_keeps_cognates():
    anchor = "Import JavaScript, GEDCOM and utf8 of my_table in the Administration"
    positive = "Import von JavaScript, GEDCOM und utf8 aus my_table in der Administration"
    assert mask_pair(anchor, positive, latin=True) == (
        "Import and of in the Administration",
        "Import von und aus in der Administration",
    )
    # What is not shared is no clue.
    assert mask_pair("Import GEDCOM", "Stammbaum laden", latin=True) == ("Import GEDCOM", "Stammbaum laden")
    # Brands go wherever they stand.
    assert mask_pair("Import GEDCOM", "GEDCOMs laden", latin=True, brands={"GEDCOM"}) == ("Import", "GEDCOMs laden")


def test_both_sides_lose_placeholders_whatever_the_script():
    assert mask_pair("Delete %(n)d pages?", "Удалить %(n)d страниц?", latin=False) == (
        "Delete pages?",
        "Удалить страниц?",
    )
    assert mask_pair("Delete {n} pages?", "{n} Seiten löschen?", latin=True) == ("Delete pages?", "Seiten löschen?")


def test_brands_are_derived_from_the_pairs():
    pairs = [
        ("Django needs a problem", "Django braucht ein Problem"),
        ("Run Django here", "Запустите Django здесь"),
        ("Problem found", "Problem gefunden"),
        ("Administration", "Administration"),
        ("Administration", "Управление"),
        ("Administration", "Beheer"),
        ("Open the URL of MyApp", "Die URL von MyApp öffnen"),
        ("Use utf8 with max_age", "utf8 mit max_age verwenden"),
        ("Plan B", "Plan B"),
        ("Hello %(NAME)s {URL2}", "Hallo %(NAME)s {URL2}"),
        ("Germany", "Deutschland"),
    ]
    assert brand_names(pairs) == {"Django", "URL", "MyApp", "utf8", "max_age", "Plan"}
    assert brand_names([*pairs, ("The plan", "Der Plan")]) == brand_names(pairs) - {"Plan"}
