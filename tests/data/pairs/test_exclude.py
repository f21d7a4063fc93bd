import gzip

import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TsvSource
from jaxemb.data import prepare
from jaxemb.errors import UserError


def test_test_sentences_are_not_trained_on(tmp_path):
    pairs = [("A cat sat down.", "Eine Katze"), ("Two dogs", "Zwei Hunde!"), ("Three %(n)s", "Drei"), ("Four", "Vier")]
    (tmp_path / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs))
    (tmp_path / "test.eng").write_text("a cat SAT down\n\n12\n")
    (tmp_path / "test.deu.gz").write_bytes(gzip.compress(b"zwei hunde\n"))
    config = DataConfig(
        root=str(tmp_path),
        sources=(TsvSource(path="en-de.tsv"),),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )
    assert len(prepare(config, 0).train) == 4
    data = prepare(config.model_copy(update={"exclude": ("test.*",)}), 0)
    assert [record.anchor for record in data.train.__getitems__([0, 1])] == ["Three %(n)s", "Four"]
    assert data.report["totals"]["dropped"] == {"excluded": 2}
    # Another test set is another fingerprint.
    (tmp_path / "test.eng").write_text("four\n")
    assert len(prepare(config.model_copy(update={"exclude": ("test.*",)}), 0).train) == 2
    with pytest.raises(UserError, match=r"nowhere: no such file \(data.exclude"):
        prepare(config.model_copy(update={"exclude": ("nowhere",)}), 0)
