"""Damaged model folders: a clear error or a model, never a crash, a hang or a heap of memory."""

import functools
import json
import random
import resource
import shutil
import time

import pytest

from jaxemb.encoding import Towers
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_towers
from support.tiers import sampled
from support.tiny_models import ENCODERS, tiny_embedder

CASES, CASES_IN_FULL = 60, 3000
"""Damaged folders a file; a quarter of it in other families than BERT. The sample seed chooses the damage."""
FILES = (
    "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json",
    "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
)  # fmt: skip
ODD = (None, True, -1, 0, 3, 1.5, 10**9, 2**63, 1e300, "", "x", "../../etc/passwd", [], [0], {}, {"a": 1}, "\x00", "٣")


OTHERS = [name for name in ENCODERS if name != "bert"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Gives the folder of a family, or of `towers`."""
    parent = tmp_path_factory.mktemp("whole")

    @functools.cache
    def folder(kind):
        if kind == "towers":
            export(Towers(tiny_embedder(0), tiny_embedder(1)), parent / kind, verify="jax")
        else:
            head = {} if kind == "bert" else {"pooling": "mean", "layer_norm": True, "dense": None}
            export(tiny_embedder(encoder=ENCODERS[kind], **head), parent / kind, verify="jax")
        return parent / kind

    return folder


def flipped(data, chosen):
    """One to eight bits of it, the beginning more often than the rest."""
    damaged = bytearray(data)
    for _ in range(chosen.randint(1, 8)):
        limit = len(damaged) if chosen.random() < 0.5 else min(len(damaged), 2000)
        damaged[chosen.randrange(limit)] ^= 1 << chosen.randrange(8)
    return bytes(damaged)


def spliced(data, chosen):
    """A piece of it left out, or there twice."""
    start, stop = sorted(chosen.randrange(len(data)) for _ in range(2))
    return data[:start] + data[stop:] if chosen.random() < 0.5 else data[:stop] + data[start:]


def mistyped(data, chosen):
    """One value anywhere in the JSON is another."""
    value = json.loads(data)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(min(len(node), 20)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(value)
    node, key = chosen.choice(places)
    node[key] = chosen.choice(ODD)
    return json.dumps(value).encode()


def damaged(name, data, chosen):
    kinds = [flipped, spliced, lambda data, chosen: data[: chosen.randrange(len(data))]]
    kinds += [mistyped] * 3 if name.endswith(".json") else []
    return chosen.choice(kinds)(data, chosen)


@pytest.mark.parametrize(
    ("kind", "name"),
    sampled(
        [*(("bert", name) for name in FILES), ("modernbert", "config.json"), ("towers", "router_config.json")],
        [
            *((kind, "config.json") for kind in OTHERS if kind != "modernbert"),
            ("roberta", "2_LayerNorm/model.safetensors"),
            ("modernbert", "model.safetensors"),
            ("qwen3", "model.safetensors"),
            ("towers", "modules.json"),
        ],
        draw=2,
    ),
)
def test_a_damaged_file(whole, tmp_path, kind, name, pytestconfig):
    folder = tmp_path / "model"
    shutil.copytree(whole(kind), folder)
    original = (folder / name).read_bytes()
    cases = CASES_IN_FULL if pytestconfig.option.full else CASES
    cases = cases if kind == "bert" else cases // 4
    first = 10_000 * pytestconfig.option.sample_seed
    refused, nameless, slowest, memory = 0, 0, 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(first, first + cases):
        (folder / name).write_bytes(damaged(name, original, random.Random(seed)))
        began = time.monotonic()
        try:
            load_towers(folder)
        except UserError as error:
            refused += 1
            nameless += str(folder) not in str(error)
        except Exception as error:
            raise AssertionError(f"case {seed} of {name}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.monotonic() - began)
    assert refused > cases / 10, "damage is seen"
    assert not nameless, "every message names the folder"
    assert slowest < 20, "no hang"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown < 1_000_000, f"memory grew by {grown} KB"
