"""The papers' main effects: the configs that are compared, their changes, seeds and scores."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Variant:
    """A config with changes, trained with several seeds."""

    name: str
    config: str
    """The name of a file in configs/, without `.yaml`."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace values of the config."""
    start: str | None = None
    """`EFFECT.VARIANT` that this variant starts from: its run with the same seed, or its only run."""
    devices: int = 1
    seeds: tuple[int, ...] = SEEDS


@dataclass(frozen=True)
class Effect:
    """One effect: the variants to compare and the scores to compare them by."""

    title: str
    claim: str
    """What the paper says."""
    scores: Mapping[str, str]
    """Names of scores in `scores_of`, with their column titles in the table."""
    variants: tuple[Variant, ...]
    versus: tuple[tuple[str, str], ...] = ()
    """Pairs of variants whose difference the page shows for each seed."""


def merge(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merges the mappings; later values replace earlier ones, and nested mappings are merged key by key.

    >>> merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}}, {"d": [2]})
    {'a': {'b': 1, 'c': 3}, 'd': [2]}
    """
    whole: dict[str, Any] = {}
    for change in changes:
        for name, value in change.items():
            here = whole.get(name)
            both = isinstance(here, Mapping) and isinstance(value, Mapping)
            whole[name] = merge(here, value) if both else value
    return whole


def _steps(count: int, batch_size: int | None = None) -> dict[str, Any]:
    size = {} if batch_size is None else {"batch_size": batch_size}
    return {"training": {"steps": count, "evaluate_every": None, **size}}


NO_DROPOUT = {"model": {"encoder": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}}
SHORT_WARMUP = {"optimizer": {"warmup_steps": 30}}
STS = {
    "STS en.dev": "STSb dev",
    "best sts_spearman": "best checkpoint",
    "alignment": "alignment",
    "uniformity": "uniformity",
}
BITEXT = {"held-out all": "held-out retrieval", "held-out other scripts": "other scripts"}
FILES = "bitext/en-[def]*.tsv.gz"
"""Nine languages in three scripts: de, el, eo, es, et, eu, fa, fi, fr."""
PAIRS = {"kind": "tsv", "path": FILES}
SMALL = {"tokenizer": {"vocab_size": 12000}}  # at most 5M parameters
BITEXT_DATA = {
    "data": {"sources": [PAIRS], "holdout": {"pairs_per_language": 500}},
    "evaluation": {"pool_size": 500, "baselines": False},
}
SMALL_RANKING = merge(SMALL, BITEXT_DATA, _steps(100, 128), SHORT_WARMUP)
EIGHT_DEVICES = {"optimizer": {"warmup_steps": 10}}  # simulated ones are slow
RANKING = merge(
    BITEXT_DATA,
    {"objective": {"kind": "labse", "scale": 20.0, "margin": 0.1}, "training": {"stacking": None}},
    _steps(120, 128),
    SHORT_WARMUP,
)
FROM = {"model": {"init_from": "${JAXEMB_INIT}"}}
SENTENCES = [
    PAIRS,
    {"kind": "text", "path": FILES, "column": 0},
    {"kind": "text", "path": FILES, "column": 1, "language": None},
]
PRETRAINING = merge(BITEXT_DATA, {"data": {"sources": SENTENCES}}, SHORT_WARMUP)
STAGES = {"training": {"stacking": {"stages": [{"layers": 1, "steps": 90}, {"layers": 2, "steps": 90}]}}}
FULL_DEPTH = {"training": {"stacking": None}}

EFFECTS: dict[str, Effect] = {
    "start": Effect(
        "What SimCSE and Sentence-BERT start from",
        "masked language modelling alone does not make a sentence encoder",
        STS,
        (Variant("mlm", "mlm_small", seeds=(0,)),),
    ),
    "simcse": Effect(
        "SimCSE: dropout as augmentation",
        "without dropout, or with one mask for both views, the model gets worse (SimCSE, table 3 and figure 2)",
        STS,
        tuple(
            Variant(name, "simcse_small", merge({"training": {"steps": 400}}, change), start="start.mlm")
            for name, change in (
                ("dropout 0.1", {}),
                ("one mask", {"objective": {"ablation": "shared_dropout"}}),
                ("no dropout", merge({"objective": {"ablation": "no_dropout"}}, NO_DROPOUT)),
            )
        ),
        (("dropout 0.1", "one mask"), ("dropout 0.1", "no dropout")),
    ),
    "sbert": Effect(
        "Sentence-BERT: what the classifier sees",
        "(u, v, |u - v|) is best, and |u - v| matters most (Sentence-BERT, table 6)",
        {
            "STS en.dev": STS["STS en.dev"],
            "STS SICK_trial": "SICK trial, relatedness",
            "best sts_spearman": "best mean of both",
        },
        tuple(
            Variant(
                ", ".join(features),
                "sbert_nli_small",
                {
                    "objective": {"features": features},
                    "training": {"epochs": 1.0, "evaluate_every": 139, "checkpoint_every": 139},
                    "evaluation": {"sts": {"paths": ["stsb/en.dev.csv.gz", "sick/SICK_trial.txt"]}},
                },
                start="start.mlm",
            )
            for features in (["u", "v", "|u-v|"], ["|u-v|"], ["u", "v"])
        ),
        (("u, v, |u-v|", "|u-v|"), ("u, v, |u-v|", "u, v")),
    ),
    "distillation": Effect(
        "Distillation: both terms",
        "the student learns the teacher's space for its language and for others (Reimers & Gurevych, section 2)",
        {"held-out all": "translation accuracy", "STS": "cross-lingual STSb dev", "teacher_mse": "squared error x 100"},
        tuple(
            Variant(terms, "distillation_small", merge(SMALL, {"objective": {"terms": terms}}, _steps(250)))
            for terms in ("both", "target", "source")
        ),
        (("both", "target"), ("both", "source")),
    ),
    "margin": Effect(
        "LaBSE: the additive margin",
        "with a margin of 0.3, the model finds more translations (LaBSE)",
        BITEXT,
        tuple(
            Variant(
                f"margin {margin}, scale {scale:g}",
                "labse_small",
                merge(SMALL_RANKING, {"objective": {"margin": margin, "scale": scale}}),
                seeds=SEEDS if scale == 20.0 else (0,),
            )
            for margin, scale in ((0.3, 20.0), (0.0, 20.0), (0.0, 10.0), (0.0, 40.0))
        ),
        (("margin 0.3, scale 20", "margin 0.0, scale 20"),),
    ),
    "negatives": Effect(
        "LaBSE: negatives across replicas",
        "with negatives of the global batch, the model finds more translations than with those of one device (LaBSE)",
        BITEXT,
        tuple(
            Variant(
                name,
                "labse_small",
                merge(SMALL_RANKING, _steps(40), EIGHT_DEVICES, {"objective": {"negatives": negatives}}),
                devices=8,
            )
            for name, negatives in (("global batch of 128", "gather"), ("local batch of 16", "local"))
        ),
        (("global batch of 128", "local batch of 16"),),
    ),
    "pretraining": Effect(
        "LaBSE: pre-training and progressive stacking",
        "a pre-trained encoder needs far fewer pairs (LaBSE)",
        BITEXT,
        (
            Variant("stacked, by itself", "labse_pretrain_small", merge(PRETRAINING, _steps(330, 64), STAGES)),
            Variant("full depth, by itself", "labse_pretrain_small", merge(PRETRAINING, _steps(240, 64), FULL_DEPTH)),
            *(
                Variant(
                    f"after {start}", "labse_pretrain_small", merge(RANKING, FROM), f"pretraining.{start}, by itself"
                )
                for start in ("stacked", "full depth")
            ),
            Variant("after nothing", "labse_pretrain_small", RANKING),
        ),
        (("after stacked", "after nothing"), ("after stacked", "after full depth")),
    ),
}


def runs_of(names: list[str]) -> Iterator[tuple[str, Variant, int]]:
    """Every run of these effects, each after the run that it starts from."""
    seen: set[tuple[str, str, int]] = set()

    def of(effect: str, variant: Variant, seed: int) -> Iterator[tuple[str, Variant, int]]:
        if variant.start is not None:
            yield from of(*start_of(variant, seed))
        if (effect, variant.name, seed) not in seen:
            seen.add((effect, variant.name, seed))
            yield effect, variant, seed

    for name in names:
        for seed in SEEDS:
            for variant in EFFECTS[name].variants:
                if seed in variant.seeds:
                    yield from of(name, variant, seed)


def start_of(variant: Variant, seed: int) -> tuple[str, Variant, int]:
    """The run that this one starts from."""
    effect, _, name = str(variant.start).partition(".")
    base = next(one for one in EFFECTS[effect].variants if one.name == name)
    return effect, base, seed if seed in base.seeds else base.seeds[0]


def slug(text: str) -> str:
    """Turns text into a part of a file name.

    >>> slug("u, v, |u-v|"), slug("|u-v|"), slug("margin 0.3, scale 20")
    ('u-v-abs-u-v-abs', 'abs-u-v-abs', 'margin-0.3-scale-20')
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower().replace("|", " abs ")).strip("-")


def result_path(effect: str, variant: Variant, seed: int) -> Path:
    """The path of a run's results."""
    return RESULTS / f"{effect}.{slug(variant.name)}.{seed}.json"
