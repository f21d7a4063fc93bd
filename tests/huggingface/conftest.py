import shutil

import pytest
from tiny_models import tiny_embedder

from jaxemb.huggingface import export


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny LaBSE-shaped model as it is exported; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(tiny_embedder(), folder, verify="jax")
    return folder


@pytest.fixture
def model_folder(exported, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(exported, tmp_path / "model")
