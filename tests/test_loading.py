"""MODEL: what a name stands for, and what is said where it stands for nothing."""

import shutil

import jax
import numpy as np
import pytest

from jaxemb.errors import UsageError, UserError
from jaxemb.loading import _split, card_for, load, load_towers, pinned
from support.tiny_models import tiny_embedder


def test_a_folder(exported):
    jax.tree.map(np.testing.assert_array_equal, load(exported).params, tiny_embedder().params)
    assert load_towers(exported).tied
    assert load(exported, tower="positive").config == load(exported).config
    assert pinned(str(exported)) == str(exported)
    assert card_for(exported) is None


def test_a_step_is_split_off_unless_such_a_path_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _split("run") == (_split("run@7")[0], None)
    assert _split("run@7")[1] == 7
    assert _split("run@best")[1] == "best"
    assert _split("run@other")[1] is None
    (tmp_path / "run@7").mkdir()
    assert _split("run@7")[0].name == "run@7"


def test_what_there_is_not(exported, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such directory; MODEL is a run directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a run directory, so there is no checkpoint 7 to choose"):
        load(f"{exported}@7")
    with pytest.raises(UsageError, match="gs://bucket/run: is not on this machine"):
        load("gs://bucket/run")
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        load(broken)
