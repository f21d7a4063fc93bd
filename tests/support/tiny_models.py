"""A tokenizer and models of a few thousand weights, drawn wide enough that an error in any of them shows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from jaxemb.config import (
    BertConfig,
    DistilBertConfig,
    ModelConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)
from jaxemb.encoding import Embedder
from jaxemb.huggingface.verify import SENTENCES
from jaxemb.models import apply, init

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def tiny_tokenizer(first: tuple[str, ...] = tuple(SPECIAL)) -> PreTrainedTokenizerFast:
    """Word pieces of one character, of every script in the verification sentences; cased.

    The special tokens come first, in this order.
    """
    letters = sorted(set("".join(SENTENCES)) | set("abcdefghijklmnopqrstuvwxyz0123456789") - set(" \t\n"))
    pieces = [*(SPECIAL[name] for name in first), *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(SPECIAL[name], first.index(name)) for name in ("cls", "sep")],
    )
    special = {f"{name}_token": piece for name, piece in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=40, **special)


TOKENIZER = tiny_tokenizer()
ENCODER = BertConfig(
    vocab_size=len(TOKENIZER) + 3,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=48,
    initializer_range=0.1,
)


_SIZES = ENCODER.model_dump(exclude={"model_type", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"})
_SIZES_OF_MPNET = _SIZES | {"pad_token_id": 1}
ENCODERS = {
    "bert": ENCODER,
    "roberta": RobertaConfig(**_SIZES, max_position_embeddings=49),
    "xlm-roberta": RobertaConfig(**_SIZES, model_type="xlm-roberta", max_position_embeddings=49),
    "distilbert": DistilBertConfig(**_SIZES, max_position_embeddings=48),
    "mpnet": MPNetConfig(**_SIZES_OF_MPNET, max_position_embeddings=50),
    "modernbert": ModernBertConfig(
        **_SIZES | {"num_hidden_layers": 4}, max_position_embeddings=48, local_attention=6
    ),
    "qwen3": Qwen3Config(
        **_SIZES | {"hidden_act": "silu", "hidden_dropout_prob": 0.0},
        num_key_value_heads=2, head_dim=10, max_position_embeddings=48,
    ),
}  # fmt: skip
"""One of each family; all hold 48 tokens."""
BOTH_WAYS = ENCODERS["qwen3"].model_copy(update={"causal": False})
"""A Qwen3 that attends in both directions."""
TOKENIZER_OF_MPNET = tiny_tokenizer(("cls", "pad", "sep", "unk", "mask"))


def tiny_embedder(seed: int = 0, **settings) -> Embedder:
    """A model with random biases and norms, too; `settings` are those of `ModelConfig`."""
    config = ModelConfig(**({"encoder": ENCODER, "max_seq_length": 40} | settings))
    shapes = jax.eval_shape(functools.partial(init, config), jax.random.key(0))
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        mean = 1.0 if path[-1].key == "scale" else 0.0
        return jnp.asarray(rng.normal(mean, 0.15, leaf.shape), jnp.float32)

    tokenizer = TOKENIZER_OF_MPNET if isinstance(config.encoder, MPNetConfig) else TOKENIZER
    return Embedder(config, jax.tree_util.tree_map_with_path(draw, shapes), tokenizer)


embed = functools.partial(jax.jit, static_argnums=0)(apply)
