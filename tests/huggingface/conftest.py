import shutil

import pytest

from jaxemb.huggingface import export
from support.tiny_models import tiny_embedder


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny LaBSE-shaped model as it is exported; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(tiny_embedder(), folder, verify="jax")
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Of a tiny model the threads of torch would wait for each other most of the time."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model_folder(exported, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(exported, tmp_path / "model")
