"""Eight virtual CPU devices, strict array ranks, runtime-checked shapes, and where the real data lies."""

import gc
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Most of a test's time is the compilation of a tiny program: LLVM need not optimise it, nor in several threads. The
# program stays the same.
# Two cores starve eight devices: a collective may wait long for its last participant.
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=120 "
    "--xla_cpu_collective_call_terminate_timeout_seconds=600 " + os.environ.get("XLA_FLAGS", "")
)
if version("jaxlib").startswith("0.10."):  # another fifth of the time; later ones do not know the flag
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
# Many tests compile what others have: whole runs of one tiny model, say.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.02")

from jaxtyping import install_import_hook

assert "jaxemb" not in sys.modules, "jaxemb was imported before its shapes could be checked"
install_import_hook("jaxemb", "beartype.beartype")

import jax  # noqa: E402
import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support import tiers  # noqa: E402
from support.cpu_times import CpuTimes  # noqa: E402
from support.tiers import pytest_configure_node  # noqa: E402, F401

jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(50_000, 20)  # tracing makes many small objects, all of which live


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Each is a few of the 65,530 memory maps that Linux gives a process: one that has the programs of a thousand tests
    has none left, and XLA crashes.
    """
    yield
    jax.clear_caches()


def pytest_addoption(parser):
    tiers.add_options(parser)


def pytest_configure(config):
    tiers.choose_seed(config)
    config.pluginmanager.register(CpuTimes())


def pytest_report_header(config):
    return f"sample seed: {config.option.sample_seed} (--sample-seed {config.option.sample_seed} draws the same cases)"


def pytest_collection_modifyitems(config, items):
    tiers.select(config, items)


REAL_DATA = Path(os.environ.get("JAXEMB_TEST_DATA", Path(__file__).parents[1] / "../shared/data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real bitext, Tatoeba and STS files (see CONTRIBUTING.md)."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data: set JAXEMB_TEST_DATA to a folder with bitext/, tatoeba/ and stsb/")
    return REAL_DATA.resolve()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny LaBSE-shaped model as it is exported; not to be changed."""
    from jaxemb.huggingface import export
    from support.tiny_models import tiny_embedder

    folder = tmp_path_factory.mktemp("exported") / "model"
    export(tiny_embedder(), folder, verify="jax")
    return folder


@pytest.fixture
def umask(request):
    """What the process leaves out of the modes of new files, as the test asks."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)
