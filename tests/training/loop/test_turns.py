import pytest

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.training.loop.turns import turns_of

DATA = {"holdout": {"pairs_per_language": 0}, "batches": "one_source"}
SOURCES = ({"kind": "tsv", "path": "a"}, {"kind": "sts", "path": "b", "objective": "sts"})
SEVERAL = TrainConfig.model_validate(
    {
        "data": {"sources": SOURCES, **DATA},
        "objectives": {"sts": {"kind": "sbert_regression"}},
        "training": {"steps": 6},
    }
)
ONE = TrainConfig.model_validate({"data": {"sources": SOURCES[:1], **DATA}, "training": {"steps": 6}})


class Batches:
    def source_of(self, step):
        return int(step % 3 == 2)


def test_the_source_of_a_batch_says_which_objective_trains_on_it(monkeypatch):
    compared = []
    monkeypatch.setattr(distributed, "check_same", lambda what, value: compared.append((what, value)))
    objective_of = turns_of(SEVERAL, Batches(), 1)
    assert [objective_of(step) for step in range(6)] == ["main", "main", "sts", "main", "main", "sts"]
    assert compared == [("the order of the objectives", "main sts main main sts")]


def test_one_objective_asks_nothing_of_the_batches():
    assert turns_of(ONE, object(), 0)(3) == "main"


def test_batches_that_mix_sources_are_refused():
    with pytest.raises(UsageError, match=r"data.batches: these batches mix sources"):
        turns_of(SEVERAL, object(), 0)
    mixed = Batches()
    mixed.source_of = lambda step: None
    with pytest.raises(UsageError, match=r"data.batches: these batches mix sources"):
        turns_of(SEVERAL, mixed, 0)
