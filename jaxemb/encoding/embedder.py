"""A model with its parameters and tokenizer."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from jaxemb.config import ModelConfig
from jaxemb.encoding.texts import encode
from jaxemb.errors import UsageError
from jaxemb.fast_tokenizer import token_ids
from jaxemb.models import Params, Tokens, apply
from jaxemb.models.lora import merge
from jaxemb.texts import Texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Embedder:
    """A model with its parameters and tokenizer; `jaxemb.load` returns one."""

    config: ModelConfig
    params: Params
    tokenizer: "PreTrainedTokenizerBase"
    """A fast tokenizer. `encode` uses a copy of its backend, so that other threads may call it at the same time."""

    def apply(
        self, params: Params, tokens: Tokens, key: PRNGKeyArray | UInt32[Array, "W"] | None = None
    ) -> Float[Array, "B E"]:
        """Embeds a batch of token ids, as `jaxemb.models.apply`: a pure function of `params`."""
        return apply(self.config, params, tokens, key)

    def merged(self) -> "Embedder":
        """The same model with the LoRA adapters merged into the kernels: no `lora` in `params` and `config`."""
        config = self.config.model_copy(update={"lora": None})
        return dataclasses.replace(self, config=config, params=merge(self.config, self.params))

    def encode(
        self,
        texts: Texts,
        *,
        prompt_name: str | None = None,
        batch_size: int = 64,
        show_progress: bool = False,
    ) -> np.ndarray:
        """Embeds texts with the model's prompt, or the one of `prompt_name`; see `jaxemb.encoding.encode`."""
        embedder = self if prompt_name is None else self.with_prompt(self.prompt_named(prompt_name))
        return encode(embedder, texts, batch_size=batch_size, show_progress=show_progress)

    def prompt_named(self, name: str) -> str:
        """The text of a prompt of `config.prompts`.

        Raises: UsageError if there is no prompt of that name.
        """
        prompts = {prompt.name: prompt.text for prompt in self.config.prompts}
        if name not in prompts:
            raise UsageError(f"prompt_name {name!r}: the model has {', '.join(map(repr, prompts)) or 'no prompts'}")
        return prompts[name]

    def with_prompt(self, prompt: str | None) -> "Embedder":
        """The same model with another prompt before every input; None keeps the model's own."""
        if prompt is None:
            return self
        longest = self.config.longest_input
        tokens = 0 if self.config.include_prompt else count_prompt_tokens(self.tokenizer, prompt, longest)
        config = self.config.model_copy(update={"prompt": prompt, "prompt_tokens": tokens})
        return dataclasses.replace(self, config=config)


def count_prompt_tokens(tokenizer: "PreTrainedTokenizerBase", prompt: str, longest: int | None = None) -> int:
    """First tokens of a text that are the prompt's, those that stand before it (`[CLS]`) included.

    They are counted as sentence-transformers does: the prompt's own tokens without a special one at the end, where the
    prompt is cut at the `longest` input, as texts with it are; None cuts nothing.
    """
    if not prompt:
        return 0
    (ids,) = token_ids(tokenizer, [prompt])
    return min(len(ids), longest or len(ids)) - (ids[-1] in tokenizer.all_special_ids)
