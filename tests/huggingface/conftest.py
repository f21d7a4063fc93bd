import shutil

import pytest


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


@pytest.fixture
def quiet_torch():
    """sentence-transformers, where it is installed."""
    return pytest.importorskip("sentence_transformers")
