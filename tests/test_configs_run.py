"""Every file in configs/ is shrunk, in sizes only, and trained for two steps, through evaluation and export."""

import gzip
import itertools
import json
import random
import shutil
from pathlib import Path

import jax
import pytest

import jaxemb
from jaxemb import models
from jaxemb.config import BertConfig, ModelConfig, MosesSource, NliSource, StsSource, TextSource, TrainConfig, TsvSource
from jaxemb.config import files as config_files
from jaxemb.data import gather, train_tokenizer
from jaxemb.encoding import Embedder
from jaxemb.huggingface import export, save_tokenizer
from jaxemb.reporting.display import Display
from jaxemb.training.preparing import prepare_data
from support.runs import losses_of
from support.tiers import sampled

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))}
COVERING = ["distillation"]
"""From a checkpoint, with a teacher; CI trains the quickstart, from nothing, whole."""
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = {
    "en": "one two three four five six seven eight nine ten red green blue house tree river".split(),
    "de": "eins zwei drei vier fünf sechs sieben acht neun zehn rot grün blau Haus Baum Fluss".split(),
    "ru": "один два три четыре пять шесть семь восемь девять десять красный зелёный синий дом дерево река".split(),
}


def pairs(language, count=300):
    chosen = random.Random(language)
    for _ in range(count):
        words = [chosen.randrange(16) for _ in range(chosen.randint(2, 6))]
        yield " ".join(WORDS["en"][i] for i in words), " ".join(WORDS[language][i] for i in words)


def write_source(source, root):
    """Small files of the kind, and under the name, that the source reads."""
    for language in ("de", "ru"):
        if isinstance(source, TsvSource):
            path = root / source.path.replace("*", language)
            text = "".join(f"{a}\t{b}\tmade\n" for a, b in pairs(language))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        elif isinstance(source, MosesSource):
            anchors, positives = zip(*pairs("de"), strict=True)
            (root / source.anchor_path).write_text("\n".join(anchors) + "\n")
            (root / source.positive_path).write_text("\n".join(positives) + "\n")
    if isinstance(source, TextSource):
        path = root / source.path.replace("*", "de")
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = (f"{a}\t{b}" if ".tsv" in path.name else a for a, b in pairs("de"))
        text = "\n".join(columns) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    elif isinstance(source, StsSource):
        write_sts(root / source.path)
    elif isinstance(source, NliSource):
        path = root / source.path.replace("*", "made")
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = [text for text, _ in pairs("de")]
        rows = [
            (label, premise, texts[place - shift])
            for place, premise in enumerate(texts)
            for shift, label in enumerate(("entailment", "neutral", "contradiction"), 1)
        ]
        if path.suffix == ".txt":  # as SICK is
            names = "entailment_judgment\tsentence_A\tsentence_B\n"
            path.write_text(names + "".join("\t".join((label.upper(), *texts)) + "\n" for label, *texts in rows))
        else:
            names = ("gold_label", "sentence1", "sentence2")
            path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))


def write_sts(path):
    """A file of STSb; rows of any two languages are translations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [text for text, _ in pairs("de")]
    text = "".join(f"{a},{b},{score % 6}.0\n" for score, (a, b) in enumerate(itertools.pairwise(texts)))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def tokenizer_of(values):
    """One trained on the config's data."""
    config = config_files.validate(TrainConfig, values, "test")
    return train_tokenizer(gather(config.data, 0), config.tokenizer, config.data.max_length, 0)


def write_model(folder, values):
    """A Hugging Face BERT folder to start from."""
    tokenizer = tokenizer_of(values)
    encoder = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **TINY)
    model = ModelConfig(encoder=encoder, dense=None, pooling="mean", max_seq_length=64)
    if not folder.exists():
        export(Embedder(model, models.init(model, jax.random.key(1)), tokenizer), folder)


@pytest.fixture(params=sampled(COVERING, [name for name in CONFIGS if name not in COVERING], draw=1))
def shrunk(request, tmp_path, monkeypatch):
    """The config with small sizes. Objective, negatives, mesh axes, remat and kinds of source stay."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("JAXEMB_DATA", str(root))
    monkeypatch.setenv("JAXEMB_INIT", str(tmp_path / "init"))
    monkeypatch.setenv("JAXEMB_TEACHER", str(tmp_path / "teacher"))
    monkeypatch.setenv("JAXEMB_TOKENIZER", str(tmp_path / "tokenizer"))
    config = config_files.load_config(CONFIGS[request.param])
    values = config.model_dump(mode="json")
    values["output_dir"] = str(tmp_path / "run")
    values["export"]["verify"] = "jax"  # the test itself compares with sentence-transformers
    values["data"]["cache_dir"] = str(tmp_path / "cache")
    values["data"]["holdout"]["pairs_per_language"] = min(20, values["data"]["holdout"]["pairs_per_language"])
    values["tokenizer"]["vocab_size"] = 300
    values["training"].update(steps=2, epochs=None, batch_size=16, log_every=1, checkpoint_every=1)
    values["training"]["evaluate_every"] = values["training"]["evaluate_every"] and 1
    if values["training"]["stacking"]:
        values["training"]["stacking"]["stages"] = [{"layers": 1, "steps": 1}]
    values["optimizer"]["warmup_steps"] = min(1, values["optimizer"]["warmup_steps"])
    if values["model"]["init_from"]:  # which decides on the rest
        values["model"] = config.model.model_dump(mode="json", exclude_unset=True)
    else:
        values["model"]["encoder"].update(TINY)
    for source in values["data"]["sources"]:
        if source["kind"] == "gettext":
            source.update(packages=["Django"], languages=["de", "ru"])
    for source in config_files.validate(TrainConfig, values, "test").data.sources:
        write_source(source, root)
    for pattern in values["data"]["exclude"]:
        path = root / pattern.replace("*", "xyz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one two\n")
    if sts := values["evaluation"]["sts"]:
        languages = {language for pair in sts["language_pairs"] for language in pair.split("-")}
        for path in sts["paths"]:
            for file in [f"{path}/{language}.dev.csv" for language in languages] or [path]:
                write_sts(root / file)
    if values["model"]["init_from"]:
        write_model(tmp_path / "init", values)
    if values["tokenizer"]["path"]:
        save_tokenizer(tokenizer_of(values), tmp_path / "tokenizer")
    if values["objective"]["kind"] == "distillation":
        write_model(tmp_path / "teacher", values)
    return values


@pytest.mark.slow
def test_a_shrunk_config_trains_two_steps(shrunk):
    result = jaxemb.train(shrunk, quiet=True)
    lines = [json.loads(line) for line in (result.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == [1, 2]
    assert all(line["train/loss"] > 0 for line in lines if "train/loss" in line)
    before = "before training" if shrunk["model"]["init_from"] else "untrained"
    if shrunk["data"]["holdout"]["pairs_per_language"]:
        assert {before, "trained"} <= result.heldout.keys()
    if shrunk["evaluation"]["sts"]:
        assert {before, "trained"} <= result.sts.keys()
    texts = ["one two", "eins zwei", ""]
    again = jaxemb.load(result.export_dir).encode(texts)
    assert abs(again - result.embedder.encode(texts)).max() < 1e-5
    assert abs(again - jaxemb.load(f"{result.run_dir}@2").encode(texts)).max() < 1e-5
    card = (result.export_dir / "README.md").read_text()
    assert "jaxemb train" in card
    assert "library_name: sentence-transformers" in card
    texts = ["Hello world", "Привет, мир", "مرحبا بالعالم", "你好，世界", "", "eins zwei " * 500]
    sentence_transformers = pytest.importorskip("sentence_transformers")
    theirs = sentence_transformers.SentenceTransformer(str(result.export_dir), device="cpu").encode(texts)
    assert abs(theirs - result.embedder.encode(texts)).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("shrunk", sampled(["labse_pretrain"], ["labse_finetune"]), indirect=True)
def test_labse_trains_from_prepared_shards_behind_a_url(shrunk, tmp_path):
    """The sources are not there any more; the losses are those of the run that prepares itself."""
    losses = []
    for url in (None, f"memory://configs/{shrunk['objective']['kind']}"):
        values = {**shrunk, "output_dir": str(tmp_path / f"run-{url is None}"), "export": {"enabled": False}}
        if url is not None:
            prepare_data(config_files.validate(TrainConfig, shrunk, "test"), url, Display(quiet=True), workers=1)
            shutil.rmtree(tmp_path / "data")
            shutil.rmtree(tmp_path / "cache")
            values["data"] = {**shrunk["data"], "prepared": url}
        run = jaxemb.train(values, quiet=True).run_dir
        losses.append(losses_of(run))
    assert losses[0].keys() == {1, 2}
    assert losses[0] == losses[1]
