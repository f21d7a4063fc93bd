from collections import Counter

import numpy as np
import pytest

from data.gathering.conftest import corpus_of
from jaxemb.config import NearDuplicates
from jaxemb.data.gathering import signing
from jaxemb.data.gathering.chunks import record_of
from jaxemb.data.pairs.near_duplicates import signatures

CONFIG = NearDuplicates(hashes=16)

pytest.importorskip("datasketch")


def test_what_is_stored_is_what_the_rows_have(tmp_path, sources):
    """Sorted by part, row and variant; and by band value."""
    corpus = corpus_of(tmp_path / "rows", sources, 150)
    for chunk, signed in zip(corpus.chunks, signing.sign_chunks(corpus.chunks, CONFIG, 1), strict=True):
        places = [tuple(chunk.column(name)[row] for name in ("part", "row", "variant")) for row in signed.rows]
        assert places == sorted(places)
        assert signed.first == places[0][:2]
        found = signatures([record_of(values) for values in chunk.table.take(signed.rows).to_pylist()], CONFIG)
        np.testing.assert_array_equal(signed.slots, found.slots)
        every = sorted((value, place) for place, row in enumerate(found.bands.tolist()) for value in row)
        assert sorted(zip(signed.bands.tolist(), signed.places.tolist(), strict=True)) == every
        assert (np.diff(signed.bands.astype(object)) >= 0).all()
        own = signed.between(1 << 62, 3 << 62)
        assert every[own] == [one for one in every if 1 << 62 <= one[0] < 3 << 62]
        assert signed.between(0, 1 << 64) == slice(0, len(every))
        assert signed.has_variants == (chunk.source == 1)
        owners = [places[owner][:2] for owner in signed.owners]
        assert owners == [place[:2] for place in places]
        assert [places[owner][2] for owner in signed.owners] == [0] * len(places)


def test_signatures_are_made_once(tmp_path, monkeypatch, sources):
    corpus = corpus_of(tmp_path / "rows", sources, 100)
    calls = Counter()
    monkeypatch.setattr(signing, "signatures", lambda *given: calls.update(one=1) or signatures(*given))
    signing.sign_chunks(corpus.chunks[:2], CONFIG, 1)
    signing.sign_chunks(corpus.chunks[:3], CONFIG, 1)
    assert calls["one"] == 3
    signing.sign_chunks(corpus.chunks[:3], CONFIG.model_copy(update={"characters": 5}), 1)
    assert calls["one"] == 6
