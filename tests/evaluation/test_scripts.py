import pytest

from jaxemb.evaluation.scripts import majority_script, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Straße", "Latin"),
        ("ＡＢＣ", "Latin"),
        ("Обновить API", "Cyrillic"),
        ("これはテストです", "Han/Kana"),
        ("ﾊﾝｶｸ", "Han/Kana"),
        ("测试", "Han/Kana"),
        ("시험", "Hangul"),
        ("परीक्षण", "Devanagari"),
        ("ทดสอบ", "Thai"),
        ("اختبار", "Arabic"),
        ("δοκιμή", "Greek"),
        ("123 … %", ""),
    ],
)
def test_majority_script(text, script):
    assert majority_script([text]) == script


def test_the_majority_is_over_all_texts_and_ties_are_fixed():
    assert majority_script(["Django Django", "Обновление страницы"]) == "Cyrillic"
    assert majority_script(["ab", "бв"]) == majority_script(["бв", "ab"]) == "Latin"
    assert majority_script([]) == ""


def test_digits_and_marks_have_no_script():
    assert [script_of(character) for character in "7٣!\u0301"] == ["", "", "", ""]
