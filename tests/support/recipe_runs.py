"""Configs of every recipe, a teacher, and the files that they learn from."""

import functools
import random
import shutil
import tempfile
from pathlib import Path

import jax
from transformers import BertTokenizerFast

from jaxemb import huggingface, models
from jaxemb.config import DistilBertConfig, ModelConfig
from jaxemb.encoding import Embedder
from jaxemb.runs.metrics import read_metrics
from support.runs import ENGLISH, TINY

RECIPES = {
    "sbert_classification": ({"kind": "nli", "path": "nli.jsonl"}, {"features": ["|u-v|", "u*v"]}),
    "sbert_regression": ({"kind": "sts", "path": "en.train.csv"}, {}),
    "sbert_triplet": ({"kind": "nli", "path": "nli.jsonl", "triplets": True}, {}),
    "simcse": ({"kind": "text", "path": "text.txt"}, {}),
    "distillation": ({"kind": "tsv", "path": "en-de.tsv"}, {"teacher": "teacher"}),
    "supervised_simcse": ({"kind": "nli", "path": "nli.jsonl", "triplets": True}, {"hard_negative_weight": 2.0}),
}


def sentences(count, seed, words=ENGLISH):
    chosen = random.Random(seed)
    return [" ".join(words[chosen.randrange(16)] for _ in range(chosen.randint(2, 5))) for _ in range(count)]


@functools.cache
def teacher():
    """A tiny model of another architecture, width and vocabulary than the students."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ENGLISH]
    encoder = DistilBertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = ModelConfig(encoder=encoder, pooling="mean", dense=None, max_seq_length=16)
    params = jax.tree.map(lambda leaf: 10.0 * leaf, models.init(model, jax.random.key(5)))
    return Embedder(model, params, BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}))


@functools.cache
def exported_teacher():
    folder = Path(tempfile.mkdtemp()) / "teacher"
    huggingface.export(teacher(), folder, verify="jax")
    return folder


def write_teacher(folder):
    shutil.copytree(exported_teacher(), folder)


def config_of(kind, folder, name="run", **objective):
    source, settings = RECIPES[kind]
    if kind == "distillation":
        settings = {"teacher": str(folder / "teacher")}
    return {
        "output_dir": str(folder / name),
        "data": {
            "root": str(folder), "sources": [source], "cache_dir": str(folder / "cache"), "max_length": 16,
            "holdout": {"pairs_per_language": 0},
        },
        "tokenizer": {"vocab_size": 80},
        "model": {"encoder": TINY, "pooling": "mean", "dense": None, "normalize": False},
        "objective": {"kind": kind, **settings, **objective},
        "optimizer": {"learning_rate": 1e-3, "warmup_share": 0.5},
        "training": {"steps": 4, "batch_size": 16, "log_every": 1, "checkpoint_every": 2, "evaluate_every": 2},
        "evaluation": {"sts": {"paths": ["en.dev.csv"]}},
        "export": {"enabled": False},
    }  # fmt: skip


def scores_of(run_dir):
    lines = (line for line in read_metrics(run_dir / "metrics.jsonl") if line["step"])
    return {line["step"]: line["evaluation/sts_spearman"] for line in lines if "evaluation/sts_spearman" in line}
