"""Loads MODEL: a run directory (`RUN`, `RUN@STEP`, `RUN@best`), a Hugging Face or sentence-transformers directory, or a
name of the Hub (`owner/name`, `owner/name@revision`). A name that exists as a path is a path.
"""

import re
from pathlib import Path
from typing import Literal

import jax

from jaxemb import huggingface
from jaxemb.encoding import Embedder, Towers, towers_of
from jaxemb.encoding.towers import as_towers, unchosen
from jaxemb.errors import UserError
from jaxemb.huggingface import CardInfo, hub
from jaxemb.models import Side, in_float32
from jaxemb.models.paths import model_params


def load(model: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Embedder:
    """Loads an embedder, strictly: every parameter must be found, and every parameter that is found must be used.

    Args:
      model: a run directory: its newest checkpoint, the one of `RUN@STEP`, or with `RUN@best` the best one by
        `training.best_metric`; or a Hugging Face or sentence-transformers directory (safetensors); or `owner/name` or
        `owner/name@revision` of the Hub, which is fetched into the Hub's cache unless `HF_HUB_OFFLINE=1` is set.
      allow: tensors that may be missing or unused in a model that is not a run, see `ModelConfig.init_allow`.
      tower: for a model with two untied towers, the one for anchors (queries) or the one for positives (documents).
        Other models have one for both.

    Returns: the embedder, with `.apply(params, tokens)`, `.params`, `.tokenizer` and `.encode(texts)`; LoRA adapters
      are merged into its kernels.
    Raises: UserError if there is no such model, it is damaged, or it has two towers and `tower` is not given.

    >>> import pathlib, tempfile
    >>> from transformers import BertTokenizerFast
    >>> from jaxemb.config import BertConfig, ModelConfig
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    >>> encoder = BertConfig(
    ...     vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    ... )
    >>> from jaxemb.models import init
    >>> config = ModelConfig(encoder=encoder, max_seq_length=16)
    >>> tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "model"
    >>> _ = huggingface.export(Embedder(config, init(config, jax.random.key(0)), tokenizer), folder, verify="jax")
    >>> embedder = load(folder)
    >>> embedder.encode(["Hello world", "hello"]).shape
    (2, 8)
    """
    towers = load_towers(model, allow=allow, tower=tower)
    if not towers.tied:
        raise unchosen(model)
    return towers.anchor.merged()


def load_towers(model: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Towers:
    """Like `load`, but both towers: one embedder for both if they are tied, or the one that `tower` chooses.

    A run's LoRA adapters stay separate from the kernels (`params["lora"]`, `config.lora`); see `Embedder.merged`.
    """
    from jaxemb.runs.storage.urls import check_local

    check_local(model)
    if hub.parse(model) is not None:
        return huggingface.load_towers(hub.fetch(model).folder, allow=allow, tower=tower)
    path, step = _split(model)
    if not path.is_dir():
        raise UserError(
            f"{path}: no such directory; MODEL is a run directory, a Hugging Face model directory or a name of the Hub "
            "(`owner/name`)"
        )
    from jaxemb.objectives.parameters import init_params
    from jaxemb.runs.checkpoints import Checkpoints
    from jaxemb.runs.directory import RunDirectory

    run = RunDirectory(path)
    if not run.exists():
        if step is not None:
            raise UserError(f"{path}: not a run directory, so there is no checkpoint {step!r} to choose")
        return huggingface.load_towers(path, allow=allow, tower=tower)
    config = run.load_config()
    tokenizer = huggingface.load_tokenizer(run.tokenizer)
    with Checkpoints(run.checkpoints) as checkpoints:
        step = run.best_step() if step == "best" else checkpoints.chosen(step)
        config = config.at_step(step)
        like = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
        params = model_params(checkpoints.restore_params(like, step))
        towers = towers_of(in_float32(config.model), params, tokenizer)
    return towers if tower is None else as_towers(getattr(towers, tower))


def pinned(model: str) -> str:
    """`owner/name@COMMIT` for a model of the Hub, which is fetched to find out; any other MODEL unchanged.

    Raises: UserError, as `load`.
    """
    return model if hub.parse(model) is None else hub.fetch(model).pinned


def pinned_as(model: str | None, saved: str | None) -> str | None:
    """`saved` if it is a commit of the Hub model that `model` names without a commit; otherwise `model`.

    >>> commit = "owner/name@" + "0123456789" * 4
    >>> pinned_as("owner/name", commit) == pinned_as("owner/name@main", commit) == commit
    True
    >>> pinned_as("owner/other", commit), pinned_as("runs/first@best", commit)
    ('owner/other', 'runs/first@best')
    """
    named = None if model is None else hub.parse(model)
    if model is None or saved is None or named is None or hub.COMMIT.fullmatch(named[1] or ""):
        return model
    return saved if saved != (name := hub.base_name(saved)) and name == named[0] else model


def card_for(model: str | Path) -> CardInfo | None:
    """The information for MODEL's card: a run's data and scores, or a name of the Hub; None for a folder."""
    if hub.parse(model) is not None:
        return CardInfo(base_model=pinned(str(model)))
    from jaxemb.reporting.model_card import card_of
    from jaxemb.runs.directory import RunDirectory

    path, step = _split(model)
    run = RunDirectory(path)
    if not run.exists():
        return None
    return card_of(path, run.best_step() if step == "best" else step)


def _split(model: str | Path) -> tuple[Path, int | Literal["best"] | None]:
    selected = re.fullmatch(r"(.+)@(\d+|best)", str(model))
    if selected and not Path(model).exists():
        return Path(selected[1]).expanduser(), "best" if selected[2] == "best" else int(selected[2])
    return Path(model).expanduser(), None
