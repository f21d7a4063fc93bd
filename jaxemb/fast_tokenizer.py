"""The backend of fast tokenizers: copies it, puts it into another tokenizer, or gets token ids from it.

A tokenizer of transformers stores truncation and padding in its backend, and sets them in each call. If two threads
call it, one may get the settings of the other. So token ids come from a private copy of the backend.
"""

import threading
import weakref
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_COPIES = 4  # copies of one tokenizer, one for each longest input; usually one

_State = tuple[int, int | None, str, bool, int, int]
_copies: "weakref.WeakKeyDictionary[PreTrainedTokenizerBase, dict[_State, Tokenizer]]" = weakref.WeakKeyDictionary()
_copying = threading.Lock()


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """The special tokens of the tokenizer, by name."""
    return {name: str(token) for name in SPECIAL_TOKENS if (token := getattr(tokenizer, name, None)) is not None}


def plain_backend(tokenizer: "PreTrainedTokenizerBase") -> Tokenizer:
    """A copy of the backend, without the truncation and padding of earlier calls."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def with_backend(tokenizer: "PreTrainedTokenizerBase", backend: Tokenizer) -> "PreTrainedTokenizerBase":
    """A tokenizer like `tokenizer` with another backend.

    Its class is the general one, because `BertTokenizerFast` and others replace the normalizer when they are loaded.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        clean_up_tokenization_spaces=False,
        **special_tokens(tokenizer),
    )


def token_ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str], max_length: int | None = None) -> list[list[int]]:
    """Token ids of each text, special tokens included, as `tokenizer(texts)` gives them; safe in any thread.

    The tokenizer's backend is copied once, on first use, and is not changed. Tokens that are added later are noticed,
    and so is a new `truncation_side`; other changes of the backend are not.

    Args:
      tokenizer: a fast one.
      texts: strings.
      max_length: most tokens of a text; longer texts are cut at the tokenizer's `truncation_side`. None cuts nothing.
    """
    backend = _backend(tokenizer, max_length)
    if len(texts) == 1:  # avoids waking other threads
        return [backend.encode(texts[0]).ids]
    return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


def _backend(tokenizer: "PreTrainedTokenizerBase", max_length: int | None) -> Tokenizer:
    shared = tokenizer.backend_tokenizer
    state = (
        id(shared), max_length, tokenizer.truncation_side, bool(getattr(tokenizer, "split_special_tokens", False)),
        len(tokenizer), shared.num_special_tokens_to_add(False),
    )  # fmt: skip
    copies = _copies.get(tokenizer)
    if copies is not None and (found := copies.get(state)) is not None:
        return found
    with _copying:
        copies = _copies.setdefault(tokenizer, {})
        if state not in copies:
            backend = plain_backend(tokenizer)
            backend.encode_special_tokens = state[3]
            if max_length is not None:
                backend.enable_truncation(max_length, direction=state[2])
            while len(copies) >= _COPIES:
                del copies[next(iter(copies))]
            copies[state] = backend
        return copies[state]
