import numpy as np
import pytest

from jaxemb.data.order.kinds import kinds_of_batches
from jaxemb.data.order.layout import stored_layout
from jaxemb.errors import UserError

GROUPS = [(0, "en", "de"), (0, "en", "fr"), (0, "sw", "en"), (1, "de", "en"), (1, "en", "th"), (2, "en", "ja")]
LAYOUT = stored_layout(GROUPS, np.array([[40, 30, 3, 20, 5, 0], [40, 30, 2, 20, 5, 0]]))


def kinds(batches, batch_size=8):
    return [kind.tolist() for kind in kinds_of_batches(LAYOUT, batches, batch_size)]


def test_what_shares_a_batch():
    assert kinds("mixed") == [[0, 1, 2, 3, 4]]  # nothing is of source 2
    assert kinds("one_source") == [[0, 1, 2], [3, 4]]
    # Either direction of English and German; five Swahili rows fill no batch, and are put to the next larger.
    assert kinds("one_language_pair") == [[0, 3], [1], [2, 4]]


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(5, [[0, 3], [1], [2], [4]]), (15, [[0, 3], [1], [2, 4]]), (16, [[0, 3], [1, 2, 4]]), (130, [[0, 1, 2, 3, 4]])],
)
def test_pairs_of_languages_are_put_together_until_they_fill_a_batch(batch_size, expected):
    assert kinds("one_language_pair", batch_size) == expected


def test_the_last_that_fill_none_go_to_the_largest():
    layout = stored_layout([(0, "en", "de"), (0, "en", "fr")], np.array([[10, 12]]))
    assert [kind.tolist() for kind in kinds_of_batches(layout, "one_language_pair", 11)] == [[0, 1]]


def test_too_few_rows():
    with pytest.raises(UserError, match=r"training\.batch_size: 200 examples a batch, but there are only 195"):
        kinds("mixed", 200)
    with pytest.raises(UserError, match=r"batch_size: 51 examples a batch, but data\.sources\.1 has only 50, and with"):
        kinds("one_source", 51)
