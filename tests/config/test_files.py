import re
from pathlib import Path

import pytest

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
MINIMAL = """
data:
  sources: [{kind: tsv, path: en-de.tsv}]
training: {steps: 10}
"""


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def message(tmp_path, text, flags=()):
    with pytest.raises(UsageError) as error:
        config_files.load_config(write(tmp_path, text), flags)
    return str(error.value)


def test_a_flag_overrides_the_file(tmp_path):
    path = write(tmp_path, MINIMAL + "optimizer: {learning_rate: 1e-3}\n")
    assert config_files.load_config(path).optimizer.learning_rate == 1e-3
    flags = ["--optimizer.learning-rate", "1e-5", "--data.length-buckets", "8", "16", "--data.max-length", "16"]
    config = config_files.load_config(path, flags)
    assert config.optimizer.learning_rate == 1e-5
    assert config.data.length_buckets == (8, 16)


def test_flags_of_lists_and_of_what_may_be_absent(tmp_path):
    path = write(tmp_path, MINIMAL + "model: {init_from: base, lora: {rank: 4}}\n")
    config = config_files.load_config(path, ["--model.lora.rank", "16", "--training.freeze", "dense/.*", "lora/.*/a"])
    assert (config.model.lora.rank, config.model.lora.alpha) == (16, 16.0)
    assert config.training.freeze == ("dense/.*", "lora/.*/a")


def test_what_is_dumped_reads_back(tmp_path):
    config = config_files.load_config(write(tmp_path, MINIMAL))
    assert config_files.load_config(write(tmp_path, config_files.dump(config))) == config


def test_a_config_cannot_be_changed(tmp_path):
    config = config_files.load_config(write(tmp_path, MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        config.training.steps = 3


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            "optimizer: {learning_rat: 1}",
            "optimizer.learning_rat: unknown key; did you mean `optimizer.learning_rate`?",
        ),
        ("modle: {}", "modle: unknown key; did you mean `model`?"),
        ("optimizer: {learning_rate: fast}", "optimizer.learning_rate: .* valid number, got 'fast'"),
        ("optimizer: {learning_rate: '1e-5'}", "optimizer.learning_rate: .* got '1e-5'"),
        ("optimizer: {learning_rate: -1}", "optimizer.learning_rate: .*greater than 0"),
        (
            "objective: {kind: info_nce, margin: 0.3}",
            "objective.margin: `info_nce` has no `margin`; `labse` has",
        ),
        ("objective: {kind: labs}", "objective.kind: 'labs' is not one of .* did you mean `labse`?"),
        ("objective: {scale: 3.0}", "objective.kind: this key is missing"),
        (
            "objective: {kind: labse, chunk: 4, chunk_tokens: 64}",
            "objective.chunk_tokens: 64 tokens or 4 rows .*one of",
        ),
        ("objective: {kind: info_nce, chunk: 4, chunk_tokens: 64}", "objective.chunk_tokens: 64 tokens or 4 rows"),
        ("optimizer: {warmup_steps: 11}", r"optimizer.warmup_steps: 11 is more than training.steps \(10\)"),
        (
            "model: {encoder: {hidden_size: 10, num_attention_heads: 3}}",
            "model.encoder.num_attention_heads: 3 must divide",
        ),
        ("model: {encoder: {max_position_embeddings: 32}}", "data.max_length: 64 tokens do not fit"),
        ("model: {max_seq_length: 600}", "model.max_seq_length: 600 tokens do not fit"),
        ("mesh: {data: 3}", "training.batch_size: 128 is not divisible by mesh.data"),
        ("output_dir: {}", "output_dir: .* valid string"),
    ],
)
def test_a_mistake_in_the_file_names_its_key(tmp_path, extra, expected):
    found = message(tmp_path, MINIMAL + extra + "\n")
    assert re.search(expected, found), found
    assert found.startswith(str(tmp_path / "config.yaml") + ": ")


def test_pre_training_has_no_sides_to_prompt(tmp_path):
    text = (
        "data: {sources: [{kind: text, path: x}], holdout: {pairs_per_language: 0}, anchor_prompt: 'q: '}\n"
        "objective: {kind: mlm}\nmodel: {encoder: {max_position_embeddings: 64}}\ntraining: {steps: 1}\n"
    )
    assert "data.anchor_prompt: mlm joins the sides to one text; set it to null" in message(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty file"),
        ("- a\n- b\n", "found list"),
        ("a: [", "not valid YAML"),
        (MINIMAL + "training: {steps: 11}\n", "the key 'training' is given twice"),
        ("data: {sources: []}\ntraining: {steps: 1}\n", "data.sources: at least one is needed"),
        (MINIMAL.replace("training: {steps: 10}", ""), "training: this key is missing"),
        (MINIMAL.replace("tsv", "tvs"), "data.sources.0.kind: 'tvs' is not one of .* did you mean `tsv`"),
        (
            MINIMAL + "model: {encoder: {model_type: xlm-robert}}\n",
            "model.encoder.model_type: 'xlm-robert' is not one of 'bert', .* did you mean `xlm-roberta`",
        ),
        (MINIMAL.replace("path", "pth"), "data.sources.0.pth: unknown key; did you mean `data.sources.0.path`"),
        (
            MINIMAL.replace("en-de.tsv}]", "en-de.tsv}]\n  length_buckets: [16, 8]"),
            "data.length_buckets: must be strictly ascending",
        ),
        (
            MINIMAL.replace("en-de.tsv}]", "en-de.tsv}]\n  length_buckets: [16]"),
            r"data.length_buckets: the last bucket",
        ),
    ],
)
def test_a_broken_file_is_explained(tmp_path, text, expected):
    found = message(tmp_path, text)
    assert re.search(expected, found), found


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    write(tmp_path, MINIMAL)
    with pytest.raises(UsageError, match=r"no such file; did you mean .*config\.yaml"):
        config_files.load_config(tmp_path / "confg.yaml")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        config_files.load_config(path)


def test_environment_variables(tmp_path, monkeypatch):
    text = MINIMAL.replace("data:", "data:\n  root: ${JAXEMB_DATA}/bitext")
    monkeypatch.delenv("JAXEMB_DATA", raising=False)
    assert "data.root: the environment variable JAXEMB_DATA is not set" in message(tmp_path, text)
    monkeypatch.setenv("JAXEMB_DATA", "/corpora")
    assert config_files.load_config(write(tmp_path, text)).data.root == "/corpora/bitext"
    assert config_files.load_config(write(tmp_path, text), ["--data.root", "/other"]).data.root == "/other"


def test_a_wrong_flag_leaves_with_2_and_the_nearest(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        config_files.load_config(write(tmp_path, MINIMAL), ["--optimizer.learning-rte", "1"])
    assert exit_.value.code == 2
    assert "--optimizer.learning-rate" in capsys.readouterr().err


def _fields(model, prefix=""):
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        for _, inner in config_files._keys(field.annotation):
            yield from _fields(inner, f"{prefix}{name}.")


def test_every_field_is_documented():
    missing = [name for name, field in _fields(TrainConfig) if not field.description and not name.endswith(".kind")]
    assert missing == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configs_parse_and_say_what_they_are(path, monkeypatch):
    monkeypatch.setenv("JAXEMB_DATA", "/corpora")
    monkeypatch.setenv("JAXEMB_INIT", "/models/bert")
    monkeypatch.setenv("JAXEMB_TEACHER", "/models/teacher")
    monkeypatch.setenv("JAXEMB_TOKENIZER", "anything")
    config_files.load_config(path)
    head = path.read_text().split("\n\n")[0]
    for word in ("Paper", "Command", "Hardware", "Expected"):
        assert re.search(rf"^# {word}: \S", head, re.MULTILINE), f"the head comment lacks `# {word}:`"
