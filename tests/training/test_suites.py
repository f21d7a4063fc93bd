"""Which suites score a run."""

import pytest

from jaxemb.config import DataConfig, EvaluationConfig, StsConfig, TrainConfig, TrainingConfig, TsvSource
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.evaluation.suites import in_runs
from jaxemb.training.suites import check_suites, suites_of, wants_baselines
from jaxemb.training.teacher import Teacher

NOUNS = [("A tree", "Ein Baum"), ("A house", "Ein Haus"), ("A cat", "Eine Katze")]
HELDOUT = {"de": [Record(*pair) for pair in NOUNS], "fr": [Record("A tree", "Un arbre")]}


class NoModel(Teacher):
    """A teacher that embeds nothing."""

    def __init__(self):
        pass


def config_of(folder, **evaluation):
    return TrainConfig(
        data=DataConfig(root=str(folder), sources=(TsvSource(path="en-de.tsv"),)),
        training=TrainingConfig(steps=1),
        evaluation=EvaluationConfig(**evaluation),
    )


def test_settings_become_suites(tmp_path):
    wanted = StsConfig(paths=("stsb", "/other/SICK.txt"), split="train", language_pairs=("en-de",), alignment=True)
    teacher = NoModel()
    suites = suites_of(config_of(tmp_path, sts=wanted), HELDOUT, teacher)
    assert list(suites) == ["heldout", "sts", "teacher_mse"]
    assert suites.keys() <= in_runs().keys()
    assert [pool.name for pool in suites["heldout"].pools] == ["de"]
    assert suites["heldout"].left_out == ["fr"]
    sts = suites["sts"]
    assert [str(path) for path in sts.paths] == [str(tmp_path / "stsb"), "/other/SICK.txt"]
    assert (sts.split, sts.language_pairs, sts.alignment) == ("train", [("en", "de")], True)
    assert suites["teacher_mse"].pools == suites["heldout"].pools
    assert suites["teacher_mse"].teacher == teacher.encode


def test_what_is_not_there_scores_nothing(tmp_path):
    assert list(suites_of(config_of(tmp_path), HELDOUT)) == ["heldout"]
    assert suites_of(config_of(tmp_path), {"fr": HELDOUT["fr"]}, NoModel()) == {}
    alone = suites_of(config_of(tmp_path, sts=StsConfig(paths=("x.csv",))), {}, NoModel())
    assert list(alone) == ["sts"]
    assert alone["sts"].language_pairs is None


def test_baselines_stand_beside_the_held_out_split_only(tmp_path):
    config = config_of(tmp_path, baselines=True, sts=StsConfig(paths=("x.csv",)))
    assert wants_baselines(config, suites_of(config, HELDOUT))
    assert not wants_baselines(config, suites_of(config, {}))
    assert not wants_baselines(config_of(tmp_path), suites_of(config, HELDOUT))


def test_files_are_read_before_training(tmp_path):
    check_suites(config_of(tmp_path))
    config = config_of(tmp_path, sts=StsConfig(paths=("x.csv",)))
    with pytest.raises(UserError, match=r"x\.csv: there is no such file or directory"):
        check_suites(config)
    (tmp_path / "x.csv").write_text("a,b,1\nc,d,high\n")
    with pytest.raises(UserError, match=r"x\.csv"):
        check_suites(config)
    (tmp_path / "x.csv").write_text("a,b,1\nc,d,2\n")
    check_suites(config)
