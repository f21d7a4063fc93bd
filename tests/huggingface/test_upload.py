"""Uploads, to a Hub on this machine; the real one is never asked."""

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxemb
from jaxemb.cli import main
from jaxemb.errors import UsageError, UserError
from jaxemb.huggingface import push
from support.fake_hub import COMMIT, FakeHub, running
from support.tiny_models import tiny_embedder

TOKEN = "hf_a_token"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")  # huggingface_hub's


@pytest.fixture
def online(monkeypatch, tmp_path):
    """A fake Hub where the token may write for `owner`, and an empty cache."""
    from huggingface_hub import constants, utils

    served = FakeHub(tmp_path / "hub")
    served.tokens[TOKEN] = {"owner"}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    utils.disable_progress_bars()
    with running(served) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield served
        utils.close_session()
    utils.enable_progress_bars()


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_by_the_command_and_back(online, exported, capsys, tmp_path):
    assert main(["push", str(exported), "owner/little", "--verify", "jax", "--private"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{online.address}/owner/little/commit/{COMMIT}: ")
    assert "embedded alike" in shown
    assert online.created["owner/little"].get("private", online.created["owner/little"].get("visibility")) in (
        True, "private",
    )  # fmt: skip
    assert online.messages == [f"Export by jaxemb {jaxemb.__version__}"]
    card = (tmp_path / "hub/owner/little/main/README.md").read_text()
    assert "# little\n" in card
    assert 'SentenceTransformer("owner/little")' in card
    assert str(tmp_path) not in card
    loaded = jaxemb.load("owner/little")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, tiny_embedder().params)


def test_a_folder_as_it_is_to_a_branch(online, exported, tmp_path):
    address = push(exported, "owner/other", revision="v2", commit_message="Smaller")
    assert address == f"{online.address}/owner/other/commit/{COMMIT}"
    assert files_in(tmp_path / "hub/owner/other/v2") == files_in(exported)
    assert files_in(tmp_path / "hub/owner/other/main") == {}
    assert online.messages == ["Smaller"]
    assert "private" not in online.created["owner/other"].values()
    assert len(online.created) == 1
    push(exported, "owner/other")  # it is there already
    assert len(online.created) == 1
    weights = load_file(tmp_path / "hub/owner/other/main/model.safetensors")
    assert weights.keys() == load_file(exported / "model.safetensors").keys()


def test_nothing_is_uploaded_that_is_not_verified(online, exported, model_folder, capsys):
    weights = load_file(model_folder / "2_Dense" / "model.safetensors")
    save_file({name: x * np.nan for name, x in weights.items()}, model_folder / "2_Dense" / "model.safetensors")
    assert main(["push", str(model_folder), "owner/little", "--verify", "jax"]) == 1
    assert "does not give the model's embeddings" in capsys.readouterr().err
    assert main(["push", str(exported), "owner/little", "--target", "vllm"]) == 1
    assert "vLLM would misread this model" in capsys.readouterr().err
    assert online.repos == {}


@pytest.mark.parametrize(
    ("error", "name", "setting", "message"),
    [
        (UsageError, "little", {}, r"'little': give the owner and the name of the model on the Hub, `owner/name`"),
        (UsageError, "owner/little/more", {}, "give the owner and the name"),
        (
            UserError,
            "owner/little",
            {"HF_TOKEN": ""},
            r"no Hub token: log in \(`hf auth login`\) or set HF_TOKEN",
        ),
        (
            UserError,
            "owner/little",
            {"HF_TOKEN": "hf_old"},
            r"owner/little: the Hub rejects the token \(is it expired",
        ),
        (
            UserError,
            "other/little",
            {},
            r"other/little: the token may not write there: .* the repositories of other \(You do not have",
        ),
        (UsageError, "owner/li--ttle", {}, "owner/li--ttle: not a valid name of the Hub"),
    ],
)
def test_one_clear_message_each(online, exported, monkeypatch, error, name, setting, message):
    for key, value in setting.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UserError, match=message) as raised:
        push(exported, name)
    assert type(raised.value) is error
    assert online.created == {}


def test_a_card_that_the_hub_does_not_take(online, model_folder):
    card = (model_folder / "README.md").read_text()
    (model_folder / "README.md").write_text(card.replace("---\n", "---\nlicense: unheard-of\n", 1))
    with pytest.raises(UserError, match=r'owner/little: the Hub refuses the upload: .*"license" must be one of'):
        push(model_folder, "owner/little")
    assert online.messages == []


def test_offline(online, exported, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert main(["push", str(exported), "owner/little"]) == 1
    assert "error: HF_HUB_OFFLINE forbids the network: unset it" in capsys.readouterr().err
    assert online.requests == []


def test_a_hub_that_cannot_be_reached(online, exported, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"owner/little: cannot be uploaded to http://127.0.0.1:9 \(Connect"):
        push(exported, "owner/little")
