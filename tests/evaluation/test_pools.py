from functools import partial

import numpy as np
import pytest

from jaxemb.evaluation.pools import Pool, score_pools


def _letters(texts):
    """Counts of a-z: enough to find one's own text."""
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


def test_every_distinct_text_is_encoded_once_in_one_call():
    calls = []

    def encode(texts):
        calls.append(list(texts))
        return _letters(texts)

    pools = [
        Pool("xx", ("cat", "dog", "bird"), ("cta", "god", "drib"), "Latin"),
        Pool("yy", ("cat", "dog"), ("dgo", "tca")),
    ]
    scored = score_pools(encode, pools)
    assert calls == [["cat", "dog", "bird", "cta", "god", "drib", "dgo", "tca"]]
    assert [(s.name, s.forward, s.backward, s.n, s.script) for s in scored] == [
        ("xx", 100.0, 100.0, 3, "Latin"),
        ("yy", 0.0, 0.0, 2, ""),
    ]


def test_of_two_functions_each_gets_its_side():
    calls = {"a": [], "p": []}

    def encode(side, texts):
        calls[side] += texts
        return _letters(texts) if side == "a" else _letters(texts)[:, ::-1]

    pools = [Pool("xx", ("az", "b"), ("b", "by")), Pool("yy", ("az", "b"), ("za", "y"))]
    scored = score_pools((partial(encode, "a"), partial(encode, "p")), pools)
    assert calls == {"a": ["az", "b"], "p": ["b", "by", "za", "y"]}
    assert [(s.forward, s.backward) for s in scored] == [(100.0, 100.0), (100.0, 100.0)]
    assert score_pools(_letters, pools)[0].forward == 50.0


def test_the_same_text_in_another_row_is_right():
    scored = score_pools(_letters, [Pool("xx", ("cat", "tac", "dog"), ("act", "act", "god"))])
    assert (scored[0].forward, scored[0].backward) == pytest.approx((100.0, 200 / 3))


def test_no_pools_need_no_model():
    assert score_pools(lambda texts: pytest.fail("called"), []) == ()


@pytest.mark.parametrize("answer", [np.ones((3, 2), np.float32), np.ones(4, np.float32)])
def test_one_row_a_text_or_an_error(answer):
    with pytest.raises(ValueError, match="for 4 texts"):
        score_pools(lambda texts: answer, [Pool("xx", ("a", "b"), ("c", "d"))])


def test_a_pool_has_two_equal_sides_that_are_not_empty():
    with pytest.raises(ValueError, match="xx: 1 anchors and 2 positives"):
        Pool("xx", ("a",), ("b", "c"))
    with pytest.raises(ValueError, match="xx: 0 anchors"):
        Pool("xx", (), ())
