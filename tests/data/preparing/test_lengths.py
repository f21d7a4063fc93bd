import numpy as np

from jaxemb.data.preparing.lengths import LONGEST, Lengths


def test_texts_are_counted_by_their_language_and_twins_once():
    lengths = Lengths()
    lengths.add(("en", "de"), np.array([[2, 3, 1], [2, 0, 3]]), np.array([False, False]))
    lengths.add(("de", "de"), np.array([[4, 4]]), np.array([True]))
    lengths.add(("ja", "ja"), np.array([[LONGEST + 5, 1]]), np.array([False]))
    wanted = {"de": [1, 1, 0, 2, 1], "en": [0, 0, 2], "ja": [0, 1] + [0] * (LONGEST - 2) + [1]}
    assert lengths.as_json() == wanted
    assert list(lengths.as_json()) == sorted(wanted)


def test_parts_add_up():
    parts = [Lengths(), Lengths(), Lengths()]
    parts[0].add(("en", "de"), np.array([[1, 2]]), np.array([False]))
    parts[1].add(("en", "fr"), np.array([[5, 0]]), np.array([False]))
    whole = Lengths()
    for part in parts:
        whole.add_all(part.as_json())
    assert whole.as_json() == {"de": [0, 0, 1], "en": [0, 1, 0, 0, 0, 1], "fr": [1]}
