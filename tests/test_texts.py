"""What `encode` and its relatives take for texts, and what they say of everything else."""

from collections import deque

import numpy as np
import pytest

from jaxemb.encoding import encode, encode_stream
from jaxemb.encoding.stored import stored_embeddings
from jaxemb.errors import UserError
from jaxemb.evaluation import Pool, score_pools, tfidf_encode
from jaxemb.evaluation.pools import embed_sides
from jaxemb.huggingface import trim_vocabulary
from support.tiny_models import tiny_embedder

EMBEDDER = tiny_embedder(pooling="mean")
TEXTS = ["a cat", "two dogs", ""]


def array_of_objects():
    array = np.empty(3, object)
    array[:] = TEXTS
    return array


def column(library):
    return pytest.importorskip(library)


ORDERED = {
    "list": lambda: TEXTS,
    "tuple": lambda: tuple(TEXTS),
    "deque": lambda: deque(TEXTS),
    "array of str": lambda: np.array(TEXTS),
    "array of objects": array_of_objects,
    "list of NumPy's strings": lambda: list(np.array(TEXTS)),
    "generator": lambda: (text for text in TEXTS),
    "map": lambda: map(str, TEXTS),
    "values of a dict": lambda: dict(enumerate(TEXTS)).values(),
    "pandas": lambda: column("pandas").Series(TEXTS, index=[7, 8, 9]),
    "polars": lambda: column("polars").Series(TEXTS),
    "pyarrow": lambda: column("pyarrow").chunked_array([TEXTS[:2], TEXTS[2:]]),
    "datasets": lambda: column("datasets").Dataset.from_dict({"text": TEXTS})["text"],
}


@pytest.fixture(scope="module")
def rows():
    return encode(EMBEDDER, TEXTS)


@pytest.mark.parametrize("kind", ORDERED)
def test_strings_in_an_order(kind, rows):
    np.testing.assert_array_equal(EMBEDDER.encode(ORDERED[kind]()), rows)
    np.testing.assert_array_equal(np.concatenate(list(encode_stream(EMBEDDER, ORDERED[kind]()))), rows)


class Table:
    """As one of pandas: it has two dimensions, and gives the names of its columns."""

    ndim = 2

    def __iter__(self):
        return iter(["text"])


NO_TEXTS = {
    "one string": ("a cat", "not one string"),
    "bytes": (b"a cat", r"texts is bytes: decode it"),
    "dict": (
        {"q": "a cat"},
        r"texts is a dict: pass its keys or its values as a list, such as list\(texts.values\(\)\)",
    ),
    "set": ({"a cat", "a dog"}, r"texts is a set, which has no order: pass a list"),
    "frozenset": (frozenset(["a cat"]), "texts is a frozenset"),
    "keys": ({"a cat": 1}.keys(), "texts is a dict_keys"),
    "None": (None, r"texts is None \(NoneType\)"),
    "number": (3, r"texts is 3 \(int\)"),
    "no dimension": (np.array("a cat"), "of 0 dimensions"),
    "two dimensions": (np.array([["a", "b"]]), "a ndarray of 2 dimensions: pass one column"),
    "table": (Table(), "a Table of 2 dimensions"),
    "None in it": (["a", None], r"texts\[1\] is None \(NoneType\), not a string"),
    "NaN in it": (np.array(["a", "b", np.nan], object), r"texts\[2\] is nan \(float\), .*a missing value"),
    "number in it": (["a", "b", 3], r"texts\[2\] is 3 \(int\), not a string"),
    "NumPy's number": ([np.int64(3)], r"texts\[0\] is .*3.* \(int64\), not a string"),
    "bytes in it": (["a", b"b"], r"texts\[1\] is b'b' \(bytes\), not a string: decode it"),
    "array of bytes": (np.array([b"a"]), r"texts\[0\] is b'a' \(bytes\)"),
    "pair": ([("a", "b")], r"texts\[0\] is \('a', 'b'\) \(tuple\), .*embed each side"),
    "lists": ([["a", "b"]], r"texts\[0\] is \['a', 'b'\] \(list\)"),
    "rows of a table": ([{"text": "a"}], r"texts\[0\] is \{'text': 'a'\} \(dict\)"),
    "generator of them": ((text for text in ["a", None]), r"texts\[1\] is None"),
    "half a character": (["a", "b\ud800"], r"texts\[1\] is not valid Unicode: it holds '\\ud800', half"),
}


@pytest.mark.parametrize("kind", NO_TEXTS)
def test_everything_else_is_refused_with_its_place_and_type(kind):
    texts, message = NO_TEXTS[kind]
    with pytest.raises(TypeError, match=message) as error:
        encode(EMBEDDER, texts)
    assert isinstance(error.value, UserError), "the command line shows a message, not a traceback"
    assert "TextEncodeInput" not in str(error.value)


def test_a_stream_refuses_at_once_what_it_can_and_counts_from_its_beginning():
    with pytest.raises(TypeError, match="texts is a dict"):
        encode_stream(EMBEDDER, {"q": "a cat"})
    blocks = encode_stream(EMBEDDER, ["a", "b", "c", "d", "e", None], block_size=2)
    assert len(next(blocks)) == 2, "what comes well before is embedded"
    with pytest.raises(TypeError, match=r"texts\[5\] is None"):
        list(blocks)
    with pytest.raises(TypeError, match=r"texts\[4\] is not valid Unicode"):
        list(encode_stream(EMBEDDER, ["a", "b", "c", "d", "\udc00"], block_size=2))


def test_all_that_take_texts_ask_the_same(tmp_path):
    with pytest.raises(TypeError, match=r"texts\[1\] is 2 \(int\)"):
        stored_embeddings(EMBEDDER, str(tmp_path)).embed_missing(EMBEDDER, ["a", 2])
    with pytest.raises(TypeError, match=r"texts is a dict"):
        trim_vocabulary(EMBEDDER, {"q": "a cat"})
    with pytest.raises(TypeError, match=r"anchors\[0\] is None"):
        tfidf_encode([None], ["a"])
    with pytest.raises(TypeError, match=r"positives\[1\] is None"):
        embed_sides(EMBEDDER.encode, ["a", "b"], ["c", None])
    (scored,) = score_pools(EMBEDDER.encode, [Pool("de", ("a cat", "x"), ("a cat", "x"))])
    assert (scored.forward, scored.backward) == (100, 100)
    kept = trim_vocabulary(EMBEDDER, (text for text in TEXTS))  # they are read several times
    np.testing.assert_allclose(kept.encode(TEXTS), EMBEDDER.encode(TEXTS), atol=1e-6)
