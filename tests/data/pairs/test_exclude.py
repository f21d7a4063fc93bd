import gzip

import fsspec
import pytest

from jaxemb.config import DataConfig, FilterConfig, HoldoutConfig, NgramOverlap, TsvSource
from jaxemb.data import gather
from jaxemb.data.pairs.clean import Dropped, clean
from jaxemb.data.pairs.exclude import Exclusion, excluded_files
from jaxemb.data.pairs.records import Record
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
    assert gather(config, 0).examples == 4
    data = gather(config.model_copy(update={"exclude": ("test.*",)}), 0)
    assert [record.anchor for record in data.records()] == ["Three %(n)s", "Four"]
    assert data.report["totals"]["dropped"] == {"excluded": 2}
    # Another test set is another fingerprint.
    (tmp_path / "test.eng").write_text("four\n")
    data = gather(config.model_copy(update={"exclude": ("test.*",)}), 0)
    assert [record.anchor for record in data.records()] == ["A cat sat down.", "Three %(n)s"]
    with pytest.raises(UserError, match=r"nowhere: no such file \(data.exclude"):
        gather(config.model_copy(update={"exclude": ("nowhere",)}), 0)


def test_the_cells_of_an_sts_file_are_excluded(tmp_path):
    (tmp_path / "en.test.csv").write_text('"A cat, a dog",Two birds sing,2.5\n')
    exclusion = Exclusion([tmp_path / "en.test.csv"])
    assert exclusion.matches(Record("a cat a dog!", "x"))
    assert exclusion.matches(Record("x", "Two birds sing."))
    assert not exclusion.matches(Record("A cat, a dog, two birds sing, 2.5", "x"))


def test_ngrams_of_either_side(tmp_path):
    sentence = "a woman stands in front of a large old building"
    (tmp_path / "test.txt").write_text(f"{sentence}\n")
    copy, other = Record(f"{sentence} Now!", "x"), Record("x", "a man sits behind a small new house over there")
    swapped = Record("x", copy.anchor)
    exclusion = Exclusion([tmp_path / "test.txt"], NgramOverlap())
    assert exclusion.overlaps([copy, other, swapped]).tolist() == [True, False, True]
    assert exclusion.overlaps([]).tolist() == []
    assert Exclusion([tmp_path / "test.txt"]).overlaps([copy]).tolist() == [False]
    assert clean(copy, FilterConfig(max_length_ratio=99), exclusion) == Dropped("overlaps_excluded")
    assert clean(Record(sentence, "x"), FilterConfig(max_length_ratio=99), exclusion) == Dropped("excluded")


def test_test_sentences_behind_a_url(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/exclude/deep/test.eng.gz", gzip.compress(b"two dogs\n"))
    (tmp_path / "en-de.tsv").write_text("A cat sat down.\tEine Katze\nTwo dogs\tZwei Hunde\n")
    files = excluded_files(["memory://exclude/**/test.*"], str(tmp_path))
    assert [str(file) for file in files] == ["memory://exclude/deep/test.eng.gz"]
    config = DataConfig(
        root=str(tmp_path),
        sources=(TsvSource(path="en-de.tsv"),),
        exclude=("memory://exclude/**/test.*",),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )
    assert gather(config, 0).report["totals"]["dropped"] == {"excluded": 1}
    memory.rm("/exclude", recursive=True)
