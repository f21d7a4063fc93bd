"""The README's Python runs as it stands there."""

import doctest
import random
import re
from pathlib import Path

import pytest

from jaxemb.huggingface import export
from support.tiny_models import tiny_embedder

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONFIG = """
output_dir: run
data:
  sources: [{kind: tsv, path: en-de.tsv}]
  cache_dir: cache
  holdout: {pairs_per_language: 0}
  max_length: 16
  length_buckets: [16]
model: {init_from: path/to/model}
training: {steps: 2, batch_size: 16}
export: {verify: jax}
"""


def test_the_first_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export(tiny_embedder(), tmp_path / "runs" / "quickstart" / "export", verify="jax")
    names = {}
    exec(BLOCKS[0], names)
    assert names["embeddings"].shape == (2, 32)


@pytest.mark.slow
def test_an_objective_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export(tiny_embedder(), tmp_path / "path/to/model", verify="jax")
    words = random.Random(0)
    lines = ["\t".join("".join(words.choices("abcdefgh", k=9)) for _ in range(2)) for _ in range(100)]
    (tmp_path / "en-de.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "my_config.yaml").write_text(CONFIG)
    exec(BLOCKS[1], {})
    assert (tmp_path / "run" / "export" / "model.safetensors").exists()


def test_the_doctests():
    (block,) = [block for block in BLOCKS if ">>>" in block]
    test = doctest.DocTestParser().get_doctest(block, {}, "README", "README.md", 0)
    assert doctest.DocTestRunner().run(test) == (0, 5)
