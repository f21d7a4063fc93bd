"""The folder in NumPy, against the model that it was written from."""

import json
import shutil

import numpy as np

from jaxemb.huggingface import reference
from support.tiny_models import tiny_embedder

TEXTS = ["one two", "敏捷的棕色狐狸", "x " * 12, "a"]


def test_it_embeds_as_the_model_and_reads_every_file(exported, tmp_path):
    embedder = tiny_embedder()
    tokens = [embedder.tokenizer(text)["input_ids"] for text in TEXTS]
    found = reference.embed(exported, tokens, 0)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, embedder.encode(TEXTS), atol=1e-5)
    folder = shutil.copytree(exported, tmp_path / "model")
    for name, key, value in (
        ("config.json", "layer_norm_eps", 0.5),
        ("1_Pooling/config.json", "pooling_mode_mean_tokens", True),
        ("2_Dense/config.json", "activation_function", "torch.nn.modules.linear.Identity"),
    ):
        content = (folder / name).read_text()
        changed = json.loads(content) | {key: value}
        if value is True:
            changed["pooling_mode_cls_token"] = False
        (folder / name).write_text(json.dumps(changed))
        assert np.abs(reference.embed(folder, tokens, 0) - found).max() > 1e-3, name
        (folder / name).write_text(content)
