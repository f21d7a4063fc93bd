"""Models by name, from a Hub on this machine; the real one is never asked."""

import json
import shutil
import socket
import time

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxemb
from jaxemb.errors import UserError
from jaxemb.huggingface import CardInfo, export_adapter, hub
from jaxemb.huggingface.card import model_card
from jaxemb.loading import pinned
from jaxemb.reporting.model_card import card_of
from support.fake_hub import COMMIT, OLDER, FakeHub, running
from support.tiny_models import tiny_embedder

TEXTS = ["A man plays.", "Съешь же ещё"]


def older_tensors(exported):
    return {name: tensor + 1 for name, tensor in load_file(exported / "model.safetensors").items()}


def serve_at(monkeypatch, address):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def online(monkeypatch, tmp_path, exported):
    """A fake Hub with owner/name, an older version of which is called v1, and an empty cache."""
    from huggingface_hub import constants, utils

    repository = shutil.copytree(exported, tmp_path / "repository")
    for name in ("pytorch_model.bin", "modeling.py", "onnx/model.onnx", "1_Pooling/pool.py", "data_config.json"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("never to be fetched")
    older = shutil.copytree(exported, tmp_path / "older")
    save_file(older_tensors(exported), older / "model.safetensors", metadata={"format": "pt"})
    served = FakeHub()
    served.add("owner/name", repository, COMMIT, "main")
    served.add("owner/name", older, OLDER, "v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    utils.disable_progress_bars()
    with running(served) as address:
        serve_at(monkeypatch, address)
        yield served
        utils.close_session()
    utils.enable_progress_bars()


@pytest.fixture
def offline(online, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return online


def go_offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def assert_same_params(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_load_by_name(online):
    assert_same_params(jaxemb.load("owner/name"), tiny_embedder())
    assert online.fetched() == [
        "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "config.json",
        "config_sentence_transformers.json", "model.safetensors", "modules.json", "sentence_bert_config.json",
        "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert all(path.startswith(("/owner/name/resolve/", "/api/models/owner/name")) for _, path in online.requests)


def test_revisions(online, exported):
    table = jaxemb.load("owner/name@v1").params["encoder"]["word_embeddings"]["embedding"]
    np.testing.assert_array_equal(table, older_tensors(exported)["embeddings.word_embeddings.weight"])
    assert_same_params(jaxemb.load(f"owner/name@{COMMIT}"), tiny_embedder())
    assert pinned("owner/name") == pinned("owner/name@main") == f"owner/name@{COMMIT}"
    assert pinned("owner/name@v1") == f"owner/name@{OLDER}"


def test_offline_takes_what_is_in_the_cache_and_asks_nobody(online, monkeypatch):
    jaxemb.load("owner/name")
    go_offline(monkeypatch)
    online.requests.clear()
    assert_same_params(jaxemb.load("owner/name"), tiny_embedder())
    assert pinned("owner/name") == f"owner/name@{COMMIT}"
    with pytest.raises(UserError, match="owner/name@v1: no such directory, and not"):
        jaxemb.load("owner/name@v1")
    assert online.requests == []


def test_offline_and_not_in_the_cache(offline, tmp_path):
    with pytest.raises(UserError) as error:
        jaxemb.load("owner/name@v1")
    message = str(error.value)
    assert message.startswith(
        "owner/name@v1: no such directory, and not, or not completely, in the local cache of the Hub"
    )
    assert str(tmp_path / "cache") in message
    assert "HF_HUB_OFFLINE=0 jaxemb" in message
    assert "hf download owner/name --revision v1" in message
    assert offline.requests == []
    assert not (tmp_path / "cache").exists()


def test_a_half_fetched_model_is_not_taken_offline(online, monkeypatch, tmp_path):
    jaxemb.load("owner/name")
    next((tmp_path / "cache").rglob("2_Dense/model.safetensors")).unlink()
    go_offline(monkeypatch)
    with pytest.raises(UserError, match=r"not, or not completely, in the local cache"):
        jaxemb.load("owner/name")


def test_unreachable_takes_the_cache_and_says_so(online, monkeypatch, caplog):
    jaxemb.load("owner/name")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        serve_at(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert_same_params(jaxemb.load("owner/name"), tiny_embedder())
        assert "owner/name: taken from the local cache, because http://127.0.0.1" in caplog.text
        with pytest.raises(UserError, match=r"owner/other: .* cannot be fetched from http.*ConnectError.*hf download"):
            jaxemb.load("owner/other")


def test_a_hub_that_never_answers_is_given_up(online, monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        serve_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(UserError, match=r"owner/name: .* cannot be fetched from .*Timeout"):
            jaxemb.load("owner/name")
        assert time.monotonic() - began < 10, "it gives up"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "owner/nobody",
            "owner/nobody: no such directory, and the Hub has no public model of this name; if it is private",
        ),
        ("owner/name@v9", "owner/name@v9: the Hub has owner/name, but no revision 'v9' of it"),
        ("owner/gated", "owner/gated: is gated: accept its terms at http.*/owner/gated, then log in"),
        ("owner/na--me", "owner/na--me: no such directory, and not a valid name of the Hub"),
        ("owner/pickled", r"owner/pickled: has neither safetensors nor Flax weights; pickles \(\*\.bin\) are not read"),
        ("owner/name@best", "owner/name: no such directory"),
        ("owner/name@12", "owner/name: no such directory"),
        ("../name", r"\.\./name: no such directory"),
    ],
)
def test_one_clear_message_each(online, tmp_path, model, message):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (pickled / name).write_text("{}")
    online.add("owner/pickled", pickled, OLDER, "main")
    online.add("owner/gated", tmp_path / "repository", COMMIT, "main")
    online.gated.add("owner/gated")
    with pytest.raises(UserError, match=message):
        jaxemb.load(model)
    assert not any(path.endswith((".bin", ".py")) for _, path in online.requests)
    if "@best" in model or "@12" in model or ".." in model:
        assert online.requests == []


def test_a_path_that_exists_wins(online, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "owner" / "name")
    assert_same_params(jaxemb.load("owner/name"), tiny_embedder())
    assert online.requests == []


def test_the_card_names_the_model_without_its_commit(tmp_path):
    card = CardInfo(base_model=f"owner/name@{COMMIT}")
    text = model_card(tiny_embedder().config, tmp_path, card, 40, True)
    assert "\nbase_model: owner/name\n" in text
    assert f"Started from `owner/name@{COMMIT}`" in text
    assert "base_model: " not in model_card(
        tiny_embedder().config, tmp_path, CardInfo(base_model="runs/a@12"), 40, True
    )


def test_adapters_name_the_model_and_its_commit(tmp_path):
    whole = tiny_embedder(lora={"rank": 2})
    out = export_adapter(whole, tmp_path / "out", base=f"owner/name@{COMMIT}")
    written = json.loads((out / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == ("owner/name", COMMIT)
    assert 'AutoModel.from_pretrained("owner/name")' in (out / "README.md").read_text()
    out = export_adapter(whole, tmp_path / "other", base="owner/name")
    written = json.loads((out / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == ("owner/name", None)


def test_adapters_by_name_over_a_base_in_the_cache(online, tmp_path):
    whole = tiny_embedder(lora={"rank": 2})
    online.add("owner/adapter", export_adapter(whole, tmp_path / "adapter", base="owner/name"), COMMIT, "main")
    with pytest.raises(UserError, match=r"the base model 'owner/name' .* is not there in the Hub's cache"):
        jaxemb.load("owner/adapter")
    jaxemb.load("owner/name")
    found = jaxemb.load("owner/adapter").params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, whole.merged().params)


def a_student(teacher):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return {"objective": {"kind": "distillation", "teacher": teacher}, "model": {"encoder": sizes}}


@pytest.mark.parametrize(
    ("key", "section_of"),
    [("model.init_from", lambda name: {"model": {"init_from": name}}), ("objective.teacher", a_student)],
    ids=["init_from", "teacher"],
)
def test_a_run_records_the_commit_and_resumes_with_the_name(key, section_of, online, tmp_path, monkeypatch):
    lines = "".join(f"number {n}\tnombre {n * n}\n" for n in range(40))
    (tmp_path / "en-fr.tsv").write_text(lines)
    config = {
        "output_dir": str(tmp_path / "run"),
        "data": {
            "root": str(tmp_path), "sources": [{"kind": "tsv", "path": "en-fr.tsv"}], "cache_dir": str(tmp_path / "c"),
            "holdout": {"pairs_per_language": 0}, "max_length": 16, "length_buckets": [16],
        },
        "tokenizer": {"vocab_size": 100},
        "training": {"steps": 1, "batch_size": 8},
        "export": {"enabled": False},
        **section_of("owner/name"),
    }  # fmt: skip

    def no_steps(state, step, batches, hooks):
        """Nothing is compiled: what is trained does not matter here."""
        state = state._replace(step=jax.numpy.int32(1))
        for hook in hooks:
            hook.ended(state)
        return state

    monkeypatch.setattr("jaxemb.training.loop.stages.run_loop", no_steps)
    jaxemb.train(config, quiet=True)
    recorded = f"  {key.split('.')[1]}: owner/name@{COMMIT}\n"
    assert recorded in (tmp_path / "run" / "config.yaml").read_text()
    card = model_card(tiny_embedder().config, tmp_path, card_of(tmp_path / "run"), 40, True)
    assert ("\nbase_model: owner/name\n" in card) == (key == "model.init_from")
    go_offline(monkeypatch)
    shutil.rmtree(tmp_path / "cache")
    jaxemb.train(config, quiet=True, resume=True)  # which has nothing to do
    assert recorded in (tmp_path / "run" / "config.yaml").read_text()
    other = {**config, **section_of(f"owner/name@{OLDER}")}
    with pytest.raises(UserError, match=rf"{key}: 'owner/name@{COMMIT}' in the run, 'owner/name@{OLDER}' now"):
        jaxemb.train(other, quiet=True, resume=True)


def test_flax_weights_are_fetched_where_there_are_no_safetensors(online, tmp_path):
    old = shutil.copytree(tmp_path / "repository", tmp_path / "old")
    (old / "flax_model.msgpack").write_bytes(b"damaged")
    online.add("owner/both", old, COMMIT, "main")
    jaxemb.load("owner/both")
    assert "flax_model.msgpack" not in online.fetched()
    old = shutil.copytree(old, tmp_path / "older-still")
    (old / "model.safetensors").unlink()
    online.add("owner/flax", old, OLDER, "main")
    with pytest.raises(UserError, match=r"flax_model\.msgpack is damaged"):
        jaxemb.load("owner/flax")
    assert "flax_model.msgpack" in online.fetched()
