"""Which objective each source trains, and what is refused before anything is read."""

import copy

import pytest

from jaxemb.config import SbertClassification, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError

VALUES = {
    "data": {
        "sources": [
            {"kind": "tsv", "path": "a.tsv"},
            {"kind": "nli", "path": "b.jsonl", "objective": "nli"},
            {"kind": "sts", "path": "c.csv", "objective": "sts"},
            {"kind": "nli", "path": "d.jsonl", "objective": "nli"},
        ],
        "batches": "one_source",
    },
    "objectives": {"nli": {"kind": "sbert_classification", "classes": 4}, "sts": {"kind": "sbert_regression"}},
    "training": {"steps": 3},
}


def read(values):
    return config_files.validate_values(values, "a.yaml")


def test_each_source_trains_the_objective_that_it_names():
    config = read(VALUES)
    assert list(config.trained_objectives) == ["main", "nli", "sts"]
    assert config.trained_objectives["nli"] == SbertClassification(classes=4)
    assert [config.objective_of(number) for number in range(4)] == ["main", "nli", "sts", "nli"]
    assert list(config.sources_of("nli")) == [1, 3]
    values = copy.deepcopy(VALUES)
    del values["data"]["sources"][0]
    values["data"]["holdout"] = {"pairs_per_language": 0}
    assert list(read(values).trained_objectives) == ["nli", "sts"], "what no source trains is not of the run"


def test_a_config_with_objectives_reads_back_and_flags_change_it(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(config_files.dump(read(VALUES)))
    config = config_files.load_config(path, ["--objectives.nli.classes", "5", "--objective.margin", "0.1"])
    assert config.objectives["nli"] == SbertClassification(classes=5)
    assert config.objective.margin == 0.1
    assert config_files.validate_values(config_files.read_yaml(path), "again") == read(VALUES)


def test_without_names_the_config_s_objective_is_the_only_one():
    config = TrainConfig.model_validate(
        {"data": {"sources": ({"kind": "tsv", "path": "a.tsv"},)}, "training": {"steps": 3}}
    )
    assert config.trained_objectives == {"main": config.objective}
    assert config.objectives == {}


def change(values, path, value):
    *parents, last = path.split(".")
    for key in parents:
        values = values[int(key) if key.isdigit() else key]
    values[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.sources.1.objective", "nly", "'nly' is not in objectives; did you mean nli"),
        ("data.sources.2.objective", "nli", "objectives.sts: no source trains it; set data.sources.N.objective"),
        ("data.sources.2.objective", None, "objectives.sts: no source trains it"),
        (
            "data.sources.3.objective",
            "sts",
            "objectives.sts.kind: sbert_regression learns .* data.sources.3",
        ),
        ("data.sources.3.objective", None, "objective.kind: labse does not use labels .*, but data.sources.3 gives"),
        (
            "data.sources.1.triplets",
            True,
            "objectives.nli.kind: sbert_classification learns .* data.sources.1",
        ),
        ("data.batches", "mixed", "data.batches: .* set it to one_source"),
        ("objectives.main", {"kind": "labse"}, "objectives: 'main' cannot be a name"),
        ("objectives.a/b", {"kind": "labse"}, "objectives: 'a/b' cannot be a name: use lower-case letters"),
        ("objective", {"kind": "mlm"}, "objective.kind: mlm joins the sides .* cannot be mixed .*model.init_from"),
        ("objective", {"kind": "distillation", "teacher": "t"}, "objective.kind: distillation needs the teacher's"),
        ("objectives.sts", {"kind": "distillation", "teacher": "t"}, "objectives.sts.kind: distillation needs the"),
        ("objectives.sts", {"kind": "custom"}, "objectives.sts.kind: custom: jaxemb.train takes one function"),
        ("objectives.nli.clases", 3, "objectives.nli.clases: unknown key; did you mean `objectives.nli.classes`"),
        ("objectives.nli.classes", 0, "objectives.nli.classes: Input should be greater than 0"),
        ("objectives.nli.kind", "sbert_clasification", "objectives.nli.kind: .* did you mean `sbert_classification`"),
    ],
)
def test_what_does_not_fit_is_refused(path, value, message):
    values = copy.deepcopy(VALUES)
    change(values, path, value)
    with pytest.raises(UsageError, match=message):
        read(values)


def test_hard_negatives_are_in_all_sources_of_an_objective_or_in_none():
    values = copy.deepcopy(VALUES)
    values["objectives"] = {"ranked": {"kind": "supervised_simcse"}}
    values["data"]["sources"] = [
        {"kind": "tsv", "path": "a.tsv"},
        {"kind": "nli", "path": "b.jsonl", "triplets": True, "objective": "ranked"},
    ]
    read(values)
    values["data"]["sources"].append({"kind": "tsv", "path": "c.tsv", "objective": "ranked"})
    with pytest.raises(UsageError, match=r"either all sources of objectives.ranked must give hard negatives, or none"):
        read(values)


def test_dropout_of_every_objective_is_checked():
    values = copy.deepcopy(VALUES)
    values["data"]["sources"].append({"kind": "text", "path": "e.txt", "objective": "still"})
    values["objectives"]["still"] = {"kind": "simcse"}
    read(values)
    values["model"] = {"encoder": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    with pytest.raises(UsageError, match="simcse needs dropout"):
        read(values)


def test_something_must_be_there_to_hold_out():
    values = copy.deepcopy(VALUES)
    del values["data"]["sources"][0]
    with pytest.raises(UsageError, match="classification and sbert_regression has no translation pairs to hold"):
        read(values)
