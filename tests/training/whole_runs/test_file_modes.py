"""Whom the umask lets read may read all that is written: a server often runs as another user than who trained."""

import stat

import pytest

import jaxemb
from jaxemb.encoding import encode_file
from jaxemb.encoding.stored import stored_embeddings
from jaxemb.huggingface import export, export_adapter
from support.tiny_models import tiny_embedder

both = pytest.mark.parametrize("umask", [0o022, 0o027], ids=oct, indirect=True)


def wrong_modes(folder, umask):
    """Files and folders below that others may read less, or more, than a new one."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        if (mode := stat.S_IMODE(path.stat().st_mode) & 0o777) != wanted:
            found[str(path.relative_to(folder))] = oct(mode)
    return found


@both
def test_exports_and_embeddings(umask, tmp_path):
    folder = tmp_path / "all"
    folder.mkdir()
    embedder = tiny_embedder()
    export(embedder, folder / "model", verify="jax")
    assert (folder / "model/2_Dense/model.safetensors").is_file()
    export_adapter(tiny_embedder(lora={"rank": 2}), folder / "adapter", base="owner/name")
    (tmp_path / "texts.txt").write_text("a cat\na dog\n")
    for name in ("rows.npy", "rows.parquet"):
        encode_file(embedder, tmp_path / "texts.txt", folder / name, batch_size=8)
    stored_embeddings(embedder, str(folder / "cache")).embed_missing(embedder, ["a cat"])
    assert len(list(folder.rglob("*"))) > 25
    assert wrong_modes(folder, umask) == {}


@pytest.mark.parametrize("umask", [0o027], ids=oct, indirect=True)
def test_a_run_and_its_caches(umask, values, tmp_path):
    values["training"]["steps"] = 2
    jaxemb.train(values, quiet=True)
    for name in ("run", "cache"):
        assert len(list((tmp_path / name).rglob("*"))) > 5
        assert wrong_modes(tmp_path / name, umask) == {}, name
