import csv
import gzip
import shutil

import numpy as np
import pytest
from scipy import stats

from jaxemb.errors import UserError
from jaxemb.evaluation.suites.sts import sts
from jaxemb.readers.sts_languages import cross_lingual
from support.tiny_models import tiny_embedder

# Angles in degrees: the cosine of a pair is that of the difference.
EN, DE, FR = ("0,10,5\n0,60,3\n0,80,1\n", "90,60,5\n60,95,3\n30,0,1\n", '0,"180",5.0\n170,0,3\n0,0,1.00\n')


def angles(texts):
    radians = np.deg2rad([float(text) for text in texts])
    return np.stack([np.cos(radians), np.sin(radians)], 1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "en.test.csv").write_text(EN)
    (tmp_path / "de.test.csv.gz").write_bytes(gzip.compress(DE.encode()))
    (tmp_path / "stsb-fr-test.csv").write_text(FR)
    (tmp_path / "en.dev.csv").write_text("0,0,5\n0,60,3\n")
    (tmp_path / "it.dev.csv").write_text("0,0,5\n0,60,3\n")
    (tmp_path / "SICK_test.txt").touch()
    return tmp_path


def test_sentence_1_of_the_one_and_sentence_2_of_the_other(folder):
    pairs = [("en", "de"), ("de", "en"), ("fr", "de"), ("en", "en"), ("en", "de")]
    report = sts(angles, [folder], language_pairs=pairs)
    degrees = {
        "en-de": ([0, 0, 0], [60, 95, 0]),
        "de-en": ([90, 60, 30], [10, 60, 80]),
        "fr-de": ([0, 170, 0], [60, 95, 0]),
        "en-en": ([0, 0, 0], [10, 60, 80]),
    }
    assert [score.name for score in report.scores] == list(degrees)
    for score in report.scores:
        cosines = np.cos(np.deg2rad(np.subtract(*degrees[score.name]))).round(6)
        assert score.spearman == pytest.approx(100 * stats.spearmanr(cosines, [5, 3, 1]).statistic, abs=1e-4)
        assert score.pearson == pytest.approx(100 * stats.pearsonr(cosines, [5, 3, 1]).statistic, abs=1e-4)
        assert (score.n, score.subsets) == (3, ())
    assert len({round(score.pearson, 3) for score in report.scores}) == 4
    assert list(report.to_json()["sets"]) == list(degrees)
    (alone,) = sts(angles, [folder / "en.test.csv"]).scores
    assert report.scores[3].pearson == alone.pearson


def test_each_side_goes_to_its_own_encoder(folder):
    sides = [], []
    functions = tuple(lambda texts, side=side: side.extend(texts) or angles(texts) for side in sides)
    sts(functions, [folder], language_pairs=[("de", "en")])
    assert sides == (["90", "60", "30"], ["10", "60", "80"])


def test_the_split_and_files_by_their_names(folder):
    (score,) = sts(angles, [folder], split="dev", language_pairs=[("it", "en")]).scores
    assert score.n == 2
    paths = [folder / "en.test.csv", folder / "stsb-fr-test.csv", folder / "it.dev.csv", folder / "en.test.csv"]
    assert list(cross_lingual(paths, "train", [("fr", "en")])) == [("fr", "en")]
    (folder / "de.test.csv").write_text(DE)  # of both, the plain file
    assert cross_lingual([folder], "test", [("de", "de")])["de", "de"].source == str(folder / "de.test.csv")


def test_a_language_goes_by_all_its_names(folder):
    (folder / "eng.dev.csv").write_text("0,0,5\n0,60,3\n")
    (folder / "en.dev.csv").unlink()
    for pair in (("en", "it"), ("eng", "ITA"), ("eng_Latn", "it")):
        assert list(cross_lingual([folder], "dev", [pair, ("EN", "it")])) == [("en", "it")]
    (folder / "en.dev.csv").touch()
    with pytest.raises(UserError, match=r"en\.dev\.csv and .*eng\.dev\.csv are both en: name one of them"):
        cross_lingual([folder], "dev", [("en", "it")])


def test_files_that_do_not_fit(folder):
    path = folder / "nl.test.csv"
    path.write_text(DE + "0,0,1\n")
    with pytest.raises(UserError, match=r"en\.test\.csv has 3 pairs but .*nl\.test\.csv has 4: row N of one must"):
        cross_lingual([folder], "test", [("en", "nl")])
    path.write_text("0,0,5\n0,0,2.5\n0,0,1\n")
    with pytest.raises(UserError, match=r"en\.test\.csv and .*nl\.test\.csv: pair 2 has the score 3 in one and 2\.5"):
        cross_lingual([folder], "test", [("en", "nl")])


def test_errors_are_for_people(folder):
    def fails(message, paths=(folder,), split="test", pair=("en", "de")):
        with pytest.raises(UserError, match=message):
            cross_lingual(paths, split, [("en", "en"), pair])

    fails(r"unknown language 'da': did you mean 'de'\? There are files of de, en, fr$", pair=("en", "dan"))
    fails(r"unknown language 'it'", pair=("it", "en"))  # has another split only
    fails(r"holds no LANG\.train\.csv \(or \.gz\)", split="train")
    fails(r"nowhere: there is no such file or directory", paths=[folder / "nowhere"])
    fails(
        r"SICK_test\.txt: pairs of languages are made of files named LANG\.test\.csv", paths=[folder / "SICK_test.txt"]
    )
    fails(r"en\.test\.csv and .*en\.dev\.csv are both en: name one", paths=[folder, folder / "en.dev.csv"])
    shutil.copytree(folder, folder / "more")
    fails(r"are both", paths=[folder, folder / "more"])
    with pytest.raises(ValueError, match="language_pairs is empty"):
        sts(angles, [folder], language_pairs=[])
    with pytest.raises(UserError, match=r"en\.test\.csv with .*de\.test\.csv\.gz: every pair has the cosine"):
        sts(lambda texts: np.ones((len(texts), 2)), [folder], language_pairs=[("en", "de")])


def test_real_files(real_data):
    embedder = tiny_embedder(pooling="mean")
    (score,) = sts(embedder.encode, [real_data / "stsb"], split="dev", language_pairs=[("de", "fr")]).scores
    with gzip.open(real_data / "stsb" / "de.dev.csv.gz", "rt", encoding="utf-8", newline="") as file:
        german = list(csv.reader(file))
    with gzip.open(real_data / "stsb" / "fr.dev.csv.gz", "rt", encoding="utf-8", newline="") as file:
        french = list(csv.reader(file))
    a, b = embedder.encode([row[0] for row in german]), embedder.encode([row[1] for row in french])
    expected = stats.spearmanr((a * b).sum(1), [float(row[2]) for row in french]).statistic
    assert (score.name, score.n) == ("de-fr", 1500)
    assert score.spearman == pytest.approx(100 * expected, abs=0.01)
    assert abs(score.spearman) > 1
