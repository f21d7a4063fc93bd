"""How each family's `config.json` differs from our settings, and which values its other keys may have."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxemb.config import (
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)
from jaxemb.config.encoder import Family
from jaxemb.huggingface.files.rope import MODERNBERT_KEYS, QWEN3_KEYS, modernbert_rope, qwen3_rope

PLAIN: dict[str, tuple[Any, ...]] = {
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({},),
    "quantization_config": (None,),
    "compression_config": (None,),
    "per_layer_config": (None, {}),
    "partial_rotary_factor": (1.0,),
    "directionality": ("bidi",),
}
"""Keys of every family that may have only these values."""


@dataclass(frozen=True)
class Schema:
    """How a family's `config.json` differs from our settings."""

    config: type[Family]
    architecture: str
    """The transformers class of the family."""
    names: dict[str, str] = field(default_factory=dict)
    """Our name -> name in `config.json`, where they differ."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Alternative name in `config.json` -> main name."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """Settings (by our names) that `config.json` does not have."""
    required: dict[str, Any] = field(default_factory=dict)
    """Keys that must have this value or be missing; they are also written."""
    plain: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Keys that must have one of these values or be missing; they are not written."""
    harmless: tuple[str, ...] = ()
    """Keys that transformers does not use for embeddings, in addition to `CONFIG_HARMLESS`."""
    nullable: tuple[str, ...] = ("pad_token_id",)
    """Keys that may be null; the code that reads them defines its meaning."""
    rope: tuple[tuple[str, ...], Callable[[dict[str, Any], Path], dict[str, Any]]] | None = None
    """Keys of positions and kinds of layers, and the function that reads our rotary settings from them."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """transformers' default for a missing setting (by our name), if it differs from ours."""

    def theirs(self, name: str) -> str:
        """The name of our setting in `config.json`."""
        return self.names.get(name, name)


_BOTH_WAYS = {"is_causal": (False,)}
_POSITIONS = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12}


def _roberta(architecture: str, vocab_size: int) -> Schema:
    defaults = _ROBERTA | {"vocab_size": vocab_size}
    return Schema(RobertaConfig, architecture, required=_POSITIONS, plain=_BOTH_WAYS, nullable=(), defaults=defaults)


SCHEMAS: dict[str, Schema] = {
    "bert": Schema(BertConfig, "BertModel", required=_POSITIONS, plain=_BOTH_WAYS, defaults={"vocab_size": 30522}),
    "roberta": _roberta("RobertaModel", 50265),
    "xlm-roberta": _roberta("XLMRobertaModel", 30522),
    "camembert": _roberta("CamembertModel", 30522),
    "distilbert": Schema(
        DistilBertConfig,
        "DistilBertModel",
        names={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
        },
        aliases={"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"},
        fixed={"layer_norm_eps": 1e-12},
        plain=_BOTH_WAYS | {"layer_norm_eps": (1e-12,)},
        harmless=("sinusoidal_pos_embds", "position_embedding_type"),
        defaults={"vocab_size": 30522},
    ),
    "mpnet": Schema(
        MPNetConfig,
        "MPNetModel",
        plain=_BOTH_WAYS,
        harmless=("position_embedding_type",),
        defaults={"vocab_size": 30527, "max_position_embeddings": 512},
    ),
    "modernbert": Schema(
        ModernBertConfig,
        "ModernBertModel",
        names={
            "hidden_act": "hidden_activation",
            "hidden_dropout_prob": "mlp_dropout",
            "attention_probs_dropout_prob": "attention_dropout",
            "layer_norm_eps": "norm_eps",
        },
        required={"attention_bias": False, "mlp_bias": False, "norm_bias": False},
        plain=_BOTH_WAYS | {"causal_mask": (False,)},
        harmless=(
            "decoder_bias", "deterministic_flash_attn", "sparse_prediction", "sparse_pred_ignore_index",
            "reference_compile", "repad_logits_with_grad", "layer_norm_eps", "position_embedding_type",
        ),
        rope=(MODERNBERT_KEYS, modernbert_rope),
        defaults={"vocab_size": 50368, "pad_token_id": 50283, "embedding_dropout": 0.0},
    ),
    "qwen3": Schema(
        Qwen3Config,
        "Qwen3Model",
        names={
            "attention_probs_dropout_prob": "attention_dropout",
            "layer_norm_eps": "rms_norm_eps",
            "causal": "is_causal",
        },
        fixed={"hidden_dropout_prob": 0.0},
        required={"attention_bias": False, "use_sliding_window": False},
        plain={"mlp_bias": (False,), "use_mrope": (False,)},
        harmless=("sliding_window", "max_window_layers", "position_embedding_type"),
        nullable=("pad_token_id", "num_key_value_heads"),
        rope=(QWEN3_KEYS, qwen3_rope),
        defaults={
            "vocab_size": 151936,
            "hidden_size": 4096,
            "intermediate_size": 22016,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "rope_theta": 10_000.0,
        },
    ),
}  # fmt: skip
