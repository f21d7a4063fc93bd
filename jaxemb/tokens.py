"""Token ids by a copy of a tokenizer's backend that nobody else has.

A tokenizer of transformers keeps how it cuts and pads texts in its backend, and sets it anew in each call: of two
threads that call it one gets what the other has asked for.
"""

import threading
import weakref
from typing import TYPE_CHECKING

from jaxemb.fast_tokenizer import plain_backend

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_COPIES = 4  # of one tokenizer: a longest input each, mostly one

_State = tuple[int, int | None, str, bool, int, int]
_copies: "weakref.WeakKeyDictionary[PreTrainedTokenizerBase, dict[_State, Tokenizer]]" = weakref.WeakKeyDictionary()
_copying = threading.Lock()


def token_ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str], max_length: int | None = None) -> list[list[int]]:
    """Token ids of each text, special tokens included, as `tokenizer(texts)` gives them; safe in any thread.

    The tokenizer's backend is copied once, when it is first needed, and is left as it is. A token that is added
    later is noticed, and another `truncation_side`; a backend that is altered in other ways is not.

    Args:
      tokenizer: a fast one.
      texts: strings.
      max_length: most tokens of a text; what is longer is cut at the tokenizer's `truncation_side`. None cuts nothing.
    """
    backend = _backend(tokenizer, max_length)
    if len(texts) == 1:  # spares waking other threads
        return [backend.encode(texts[0]).ids]
    return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


def _backend(tokenizer: "PreTrainedTokenizerBase", max_length: int | None) -> "Tokenizer":
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
