"""Which parts of an exported folder embedding servers would misread, and what to do instead.

From the source code of text-embeddings-inference 0d124dc (July 2026) and vLLM 0.24. A server reads a folder correctly
if it gives the model's embeddings when it is started with only the folder's path.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

from jaxemb.config import ModelConfig, ModernBertConfig, Qwen3Config
from jaxemb.config.encoder import Family
from jaxemb.errors import UserError
from jaxemb.huggingface.files.modules import default_prompt_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Server = Literal["tei", "vllm"]
SERVERS: tuple[Server, ...] = get_args(Server)
NAMES: dict[Server, str] = {"tei": "text-embeddings-inference", "vllm": "vLLM"}
FAMILIES = {
    "tei": {"bert", "camembert", "distilbert", "modernbert", "mpnet", "qwen3", "roberta", "xlm-roberta"},
    "vllm": {"bert", "modernbert", "qwen3", "roberta", "xlm-roberta"},
}
_POOLINGS = {"cls": "cls", "mean": "mean", "lasttoken": "last-token"}
_ONE_BY_ONE = "export each tower separately (`--tower anchor`, `--tower positive`)"
_OTHER_POOLING = "train with `model.pooling` cls or mean"
_SENTENCE_TRANSFORMERS = "export without --target and serve the folder with sentence-transformers"


def misread(
    config: ModelConfig, tokenizer: "PreTrainedTokenizerBase", server: Server, *, towers: bool = False
) -> list[tuple[str, str]]:
    """What a server would get wrong, each with the way out; empty if it reads the exported folder correctly.

    Args:
      config: the architecture.
      tokenizer: the model's tokenizer.
      server: `tei` (text-embeddings-inference) or `vllm`.
      towers: whether the folder is a `Router` over two models.
    """
    if towers:
        return [("reads one model, not a Router of two", _ONE_BY_ONE)]
    common = _by_both(config, server)
    return [*common, *(_by_tei(config, tokenizer) if server == "tei" else _by_vllm(config))]


def check_served(
    config: ModelConfig, tokenizer: "PreTrainedTokenizerBase", server: Server, *, towers: bool = False
) -> None:
    """Refuses a model that a server would misread.

    Raises: UserError with everything that it would misread, and the way out of each.
    """
    found = misread(config, tokenizer, server, towers=towers)
    if found:
        lines = "\n".join(f"  it {what}: {way_out}" for what, way_out in found)
        raise UserError(f"{NAMES[server]} would misread this model:\n{lines}\n{_otherwise(server)}")


def servers_note(config: ModelConfig, tokenizer: "PreTrainedTokenizerBase", *, towers: bool = False) -> str:
    """One line for the model card: which servers would misread the folder, and why; empty if none would."""
    found = {server: misread(config, tokenizer, server, towers=towers) for server in SERVERS}
    parts = [
        f"{NAMES[server]} (it {', it '.join(what for what, _ in whats)})" for server, whats in found.items() if whats
    ]
    return f"Do not serve this folder with {' or with '.join(parts)}: the embeddings would be wrong." if parts else ""


def _otherwise(server: Server) -> str:
    return f"Or export without --target and use sentence-transformers; {NAMES[server]} would give other embeddings."


def _by_both(config: ModelConfig, server: Server) -> Iterator[tuple[str, str]]:
    family = config.encoder.model_type
    if family not in FAMILIES[server]:
        others = [other for other in SERVERS if family in FAMILIES[other]]
        way_out = f"--target {others[0]} may do" if others else _SENTENCE_TRANSFORMERS
        yield f"has no {family} encoder", way_out
    if config.layer_norm:
        yield "has no layer norm after pooling", "train with `model.layer_norm: false`"
    if any(dense.layer_norm for dense in config.dense_layers):
        yield "has no layer norm after a dense layer", "train with `layer_norm: false` in `model.dense`"
    if config.truncate_dim is not None:
        clients = f"keep the first {config.truncate_dim} dimensions of what it gives"
        yield "gives all dimensions, whatever truncate_dim says", f"export without `model.truncate_dim`, and {clients}"
    if config.prompt:
        clients = "put it before each text that is sent"
        flag = f"start the server with `--default-prompt-name {default_prompt_name(config)}`"
        way_out = flag if server == "tei" else clients
        yield f"does not put the prompt ({config.prompt!r}) before texts", f"export without --target, and {way_out}"
    if not config.include_prompt and (config.prompt or config.prompts):
        yield "counts the prompt's tokens in pooling", "train with `model.include_prompt: true`"


def _by_tei(config: ModelConfig, tokenizer: "PreTrainedTokenizerBase") -> Iterator[tuple[str, str]]:
    encoder = config.encoder
    known = [mode for mode in ("cls", "mean", "lasttoken") if mode in config.poolings]
    if len(config.poolings) > 1:
        one = f"only {_POOLINGS[known[0]]} pooling of {' + '.join(config.poolings)}" if known else "none of them"
        yield f"uses {one}", _OTHER_POOLING
    elif not known:
        yield f"has no {config.poolings[0]} pooling", _OTHER_POOLING
    elif known == ["lasttoken"] and not isinstance(encoder, Qwen3Config):
        yield "has last-token pooling for decoders only", _OTHER_POOLING
    elif known == ["cls"] and isinstance(encoder, Qwen3Config):
        yield "pads on the left, so that the first token may be padding", "train with `model.pooling: lasttoken`"
    if any(dense.normalize for dense in config.dense_layers):
        yield "normalises after the last dense layer only", "train with `normalize: false` in `model.dense`"
    for dense in config.dense_layers:
        if dense.activation not in ("tanh", "identity"):
            yield f"has no dense layer with {dense.activation}", "train with `model.dense.activation` tanh or identity"
    if not config.normalize:
        yield "normalises embeddings unless a request says `normalize: false`", "train with `model.normalize: true`"
    if tokenizer.truncation_side != "right":
        yield "cuts long texts at their end", "set the tokenizer's truncation_side to right"
    if getattr(encoder, "causal", True) is False:
        yield "attends causally", "--target vllm may do"
    missing = [name for name, value in keys_of_tei(encoder, tokenizer).items() if value is None]
    if missing:
        yield f"needs {', '.join(missing)} in config.json", "name these tokens in the tokenizer"


def _by_vllm(config: ModelConfig) -> Iterator[tuple[str, str]]:
    encoder = config.encoder
    if len(config.poolings) > 1:
        yield f"uses only one pooling of {' + '.join(config.poolings)}", _OTHER_POOLING
    elif config.poolings == ("mean_sqrt_len_tokens",):
        yield "uses mean pooling for mean_sqrt_len_tokens", _OTHER_POOLING
    elif config.poolings[0] not in _POOLINGS:
        yield f"uses its own default instead of {config.poolings[0]} pooling", _OTHER_POOLING
    if config.dense_layers:
        yield (
            "ignores dense layers in many versions, with only a line in its log",
            "--target tei may do, or train with `model.dense: null`",
        )
    if isinstance(encoder, Qwen3Config) and encoder.hidden_act != "silu":
        yield f"has no Qwen3 with {encoder.hidden_act}", "train with `model.encoder.hidden_act: silu`"
    if isinstance(encoder, ModernBertConfig) and encoder.hidden_act != "gelu":
        yield f"uses gelu instead of {encoder.hidden_act} in ModernBERT", "train with `model.encoder.hidden_act: gelu`"


def keys_of_tei(config: Family, tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """Keys of `config.json` that change no embedding, but that text-embeddings-inference needs to read it."""
    if isinstance(config, Qwen3Config):
        return {"eos_token_id": _id(tokenizer, "eos", "pad")}
    if isinstance(config, ModernBertConfig):
        ends = {"bos": ("bos", "cls"), "eos": ("eos", "sep"), "cls": ("cls", "bos"), "sep": ("sep", "eos")}
        ids = {f"{name}_token_id": _id(tokenizer, *tokens) for name, tokens in ends.items()}
        return {**ids, "initializer_cutoff_factor": 2.0, "classifier_activation": "gelu"}
    return {}


def _id(tokenizer: "PreTrainedTokenizerBase", *tokens: str) -> int | None:
    """The id of the first of these special tokens that the tokenizer has."""
    found = (getattr(tokenizer, f"{token}_token_id", None) for token in tokens)
    return next((int(number) for number in found if number is not None), None)
