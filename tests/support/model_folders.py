"""Folders of models that a test changes."""

import json

import jax
import numpy as np

from jaxemb.huggingface import load_model
from jaxemb.huggingface.files.weights import encoder_to_tensors
from support.tiny_models import ENCODER, tiny_embedder

TEXTS = ["A man plays.", "Съешь же ещё", "", "x " * 100]


def edit(path, **changes):
    content = json.loads(path.read_text())
    content |= changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_embeds_as(folder, embedder):
    np.testing.assert_allclose(
        load_model(folder).encode(TEXTS, batch_size=8), embedder.encode(TEXTS, batch_size=8), atol=1e-6
    )


PARAMS = tiny_embedder().params["encoder"]

TENSORS = encoder_to_tensors(PARAMS, ENCODER)


def assert_same(ours, expected=PARAMS):
    jax.tree.map(np.testing.assert_array_equal, ours, jax.tree.map(np.asarray, expected))


def modules(folder, *kinds, prefix="sentence_transformers.models."):
    places = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense"}
    content = [
        {"idx": number, "name": str(number), "path": places.get(kind, f"{number}_{kind}"), "type": prefix + kind}
        for number, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(content))


def changed(content, changes):
    return {key: value for key, value in (content | changes).items() if value is not ...}
