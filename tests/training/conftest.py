import copy
import json
import random
import subprocess

import pytest

import jaxemb
from support.recipe_runs import sentences, write_teacher
from support.runs import GERMAN, values_in


@pytest.fixture
def values(tmp_path):
    """A config of its own, and its data; without an export, whose verification compiles as much as the run."""
    return values_in(tmp_path) | {"export": {"enabled": False}}


@pytest.fixture(scope="module")
def _whole(tmp_path_factory):
    values = values_in(tmp_path_factory.mktemp("whole"))
    return values, jaxemb.train(values, quiet=True)


@pytest.fixture
def whole(_whole):
    """A finished run that the tests of a file share, with a copy of its config: they write into copies of it only."""
    values, result = _whole
    return copy.deepcopy(values), result


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def folder(tmp_path):
    """Files of every kind of source."""
    texts, others, wrong = (sentences(60, seed) for seed in range(3))
    chosen = random.Random(4)
    with (tmp_path / "nli.jsonl").open("w") as lines:
        for premise, entailed, contradicting in zip(texts, others, wrong, strict=True):
            for label, text in (("entailment", entailed), ("contradiction", contradicting), ("neutral", premise)):
                lines.write(json.dumps({"gold_label": label, "sentence1": premise, "sentence2": text}) + "\n")
    scored = [f"{a},{b},{chosen.randrange(6)}.0\n" for a, b in zip(texts, others, strict=True)]
    for split in ("train", "dev"):
        (tmp_path / f"en.{split}.csv").write_text("".join(scored))
    (tmp_path / "text.txt").write_text("\n".join(dict.fromkeys(texts + others)) + "\n")
    german = sentences(60, 0, GERMAN)
    (tmp_path / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(texts, german, strict=True)))
    write_teacher(tmp_path / "teacher")
    return tmp_path
