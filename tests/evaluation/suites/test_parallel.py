import gzip

import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation.suites.parallel import parallel


def _encode(texts):
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


def test_tsv_and_moses(tmp_path):
    (tmp_path / "en-xx.tsv.gz").write_bytes(gzip.compress(b"cat\ttac\ndog\tgod\n\tnothing\nbird\tdrib\n"))
    (tmp_path / "one").write_text("cat\ndog\n")
    (tmp_path / "two").write_text("god\nact\n")
    report = parallel(_encode, [tmp_path / "en-xx.tsv.gz", tmp_path / "one", tmp_path / "two"])
    assert [(pair.name, pair.forward, pair.backward, pair.n) for pair in report.pairs] == [
        ("en-xx", 100.0, 100.0, 3),
        ("one - two", 0.0, 0.0, 2),
    ]
    assert report.averages[0].mean == 50.0
    assert report.notes == ("en-xx: 1 of 4 pairs with an empty side left out",)


def test_columns(tmp_path):
    (tmp_path / "set.tsv").write_text("1\tcat\ttac\n2\tdog\tgod\n")
    report = parallel(_encode, [tmp_path], anchor_column=1, positive_column=2)
    assert report.pairs[0].mean == 100.0
    with pytest.raises(UserError, match="line 1"):
        parallel(_encode, [tmp_path], positive_column=3)
