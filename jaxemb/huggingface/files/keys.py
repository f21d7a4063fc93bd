"""Every key of a checkpoint's JSON files is read, is known not to change embeddings, or is refused.

A key with the value null is ignored. A key that is in none of these lists is refused, although transformers and
sentence-transformers would ignore it: the model may have its own code, which computes other embeddings.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jaxemb.errors import UserError

GENERATION = (
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "early_stopping", "max_time", "stop_strings",
    "do_sample", "num_beams", "num_beam_groups", "penalty_alpha", "cache_implementation", "cache_config",
    "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "diversity_penalty",
    "repetition_penalty", "encoder_repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "renormalize_logits", "constraints", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "sequence_bias", "token_healing", "guidance_scale", "num_return_sequences",
    "decoder_start_token_id", "return_dict_in_generate", "output_scores", "output_logits", "assistant_lookbehind",
    "assistant_confidence_threshold", "num_assistant_tokens", "num_assistant_tokens_schedule", "target_lookbehind",
)  # fmt: skip
TASKS = (
    "architectures", "id2label", "label2id", "num_labels", "num_choices", "problem_type", "finetuning_task",
    "task_specific_params", "task_names", "prefix", "sentence_transformers", "adapters", "prediction_heads",
    "custom_heads", "custom_pipelines", "tf_legacy_loss", "tie_weights_",
)  # fmt: skip
"""Keys that say which heads a checkpoint has; its tensors show that, too, and are read strictly."""
NAMES = (
    "name", "name_or_path", "language", "languages", "license", "tokenizer_class", "model_max_length",
    "max_seq_length", "do_lower_case",
)  # fmt: skip
"""Names; and settings of the tokenizer in other files, which are not used here."""
PRECISION = (
    "dtype", "torch_dtype", "use_bfloat16", "attn_implementation", "torchscript", "chunk_size_feed_forward",
    "xla_device",
)  # fmt: skip
"""How transformers computes: the same numbers, up to precision."""
TRAINING = (
    "gradient_checkpointing", "initializer_factor", "initializer_cutoff_factor", "tie_word_embeddings",
    "tie_encoder_decoder", "tie_last_hidden_states",
)  # fmt: skip
OUTPUTS = (
    "use_cache", "return_dict", "use_return_dict", "output_attentions", "output_hidden_states", "output_past",
    "cross_attention_hidden_size", "embedding_size", "transformers_version", "transformers.js_config",
)  # fmt: skip
"""Other outputs of transformers, keys that it once wrote, and sizes of parts that an encoder does not have."""
_PATTERNS = (
    r"_.*", r"(bos|eos|sep|cls|mask|unk)_token_ids?", r".*dropout(_prob|_rate|_p)?", r".*_pdrop", r"layerdrop",
    r"(classifier|pooler|summary|sbert_ce|unsloth)_.*",
)  # fmt: skip
"""Private notes of tools; ids that the tokenizer has; dropout, which only affects training; heads."""
CONFIG_HARMLESS = re.compile(
    "|".join((*_PATTERNS, *map(re.escape, (*GENERATION, *TASKS, *NAMES, *PRECISION, *TRAINING, *OUTPUTS))))
)
"""Keys of config.json that change no embedding, whatever their value."""


def check_keys(
    path: Path,
    content: Mapping[str, Any],
    read: Collection[str],
    *,
    plain: Mapping[str, tuple[Any, ...]] | None = None,
    harmless: re.Pattern[str] | None = None,
) -> None:
    """Refuses every unknown key.

    Args:
      path: the file, for the message.
      content: its content.
      read: keys that the caller reads and checks.
      plain: keys that may only have these values, which change nothing.
      harmless: matches whole names of keys that may have any value.

    Raises: UserError with the first unknown key, its value and the way out.

    >>> check_keys(Path("config.json"), {"hidden_size": 8, "new": None}, {"hidden_size"})
    >>> check_keys(Path("config.json"), {"new": 3}, {"hidden_size"})
    Traceback (most recent call last):
    ...
    jaxemb.errors.UserError: config.json: new (3) is an unknown key, which may change embeddings; if it does not, \
delete it from the file
    """
    for key, value in content.items():
        if value is None or key in read:
            continue
        if plain is not None and key in plain:
            if value not in plain[key] or isinstance(value, bool) != isinstance(plain[key][0], bool):
                raise UserError(f"{path}: {key} {shorten(value)} is not supported; supported: {plain[key][0]!r}")
        elif harmless is None or not harmless.fullmatch(key):
            raise UserError(
                f"{path}: {key} ({shorten(value)}) is an unknown key, which may change embeddings; if it does not, "
                "delete it from the file"
            )


def check_no_code(path: Path, content: Mapping[str, Any], *classes: str) -> None:
    """Refuses a checkpoint whose model or tokenizer has its own code (`auto_map`), which is never run.

    Raises: UserError.
    """
    code = content.get("auto_map")
    named = code if isinstance(code, Mapping) else {classes[-1]: code} if code else {}
    for name in classes:
        if named.get(name):
            raise UserError(
                f"{path}: auto_map names code for {name} ({shorten(named[name])}), which jaxemb does not run; if "
                "transformers' own class computes the same, delete auto_map from the file"
            )


def shorten(value: Any, most: int = 60) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
