"""Trims the vocabulary to the tokens that given texts use, without changing the embeddings of these texts.

Most weights of multilingual models are in the embedding table; a model for two languages does not need all of it.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import jax
import numpy as np
from tokenizers import Tokenizer

from jaxemb.encoding import Embedder, encode
from jaxemb.errors import UserError
from jaxemb.fast_tokenizer import plain_backend, with_backend
from jaxemb.huggingface.files.tokenizer import check_vocabulary
from jaxemb.models import pad_vocabulary
from jaxemb.texts import Texts, as_texts

BLOCK = 8192  # texts that are tokenized together
SAMPLE = 256  # texts that are embedded for the comparison
TOLERANCE = 1e-6


def trim_vocabulary(embedder: Embedder, texts: Texts) -> Embedder:
    """Keeps the tokens that `texts` use, without a prompt and with each prompt of the model, and drops the others.

    Special and added tokens, single characters and bytes also stay, so that other texts can be encoded as before, in
    more tokens. BPE keeps, recursively, the parts of a kept token and every merge that makes one. Tokens are renumbered
    in their old order.

    To verify, all texts are tokenized again, and 256 of them are embedded again.

    Args:
      embedder: a model with a WordPiece, Unigram or BPE tokenizer.
      texts: the texts to keep the tokens of, strings in an order, as for `encode`.

    Returns: the smaller model: tokenizer, `encoder.vocab_size`, `encoder.pad_token_id` and embedding table.
    Raises: UserError if the tokenizer is of another kind, there are no texts, or the smaller model gives them different
      tokens or embeddings.
    """
    texts = as_texts(texts)
    if not texts:
        raise UserError("the vocabulary cannot be trimmed: there are no texts")
    config, encoder = embedder.config, embedder.config.encoder
    check_vocabulary(embedder.tokenizer, encoder, "the model to trim")
    old = plain_backend(embedder.tokenizer)
    state = json.loads(old.to_str())
    kind = state["model"].get("type")
    if kind not in _KINDS:
        raise UserError(f"a vocabulary of the kind {kind} cannot be trimmed; supported: {', '.join(_KINDS)}")
    prompts = sorted({"", config.prompt, *(prompt.text for prompt in config.prompts)})
    used = {number for tokens in _encoded(old, texts, prompts) for number in tokens.ids}
    used |= {*embedder.tokenizer.all_special_ids, *old.encode("a", "b").ids}  # and the tokens around a pair
    used |= {token["id"] for token in state["added_tokens"]}
    kept = _KINDS[kind].keep(state["model"], used)
    # RoBERTa's positions start after the padding token's id, so it keeps its id, and so do all tokens before it.
    kept |= set(range(encoder.pad_token_id + 1)) if encoder.position_offset else set()
    order = sorted(kept)
    new_id = {number: index for index, number in enumerate(order)}
    missing = kept - set(_ids(old).values())
    if missing:
        raise UserError(f"the tokenizer has no token of the ids {sorted(missing)}, which must be kept")
    state["model"] = _KINDS[kind].edit(state["model"], new_id)
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    if state.get("post_processor"):
        state["post_processor"] = _renumbered(state["post_processor"], new_id)
    tokenizer = with_backend(embedder.tokenizer, Tokenizer.from_str(json.dumps(state)))

    pad = encoder.pad_token_id if encoder.position_offset else new_id[embedder.tokenizer.pad_token_id]
    sizes = {"vocab_size": len(order), "pad_token_id": pad}
    smaller = config.model_copy(update={"encoder": encoder.model_copy(update=sizes)})
    table = np.asarray(jax.device_get(embedder.params["encoder"]["word_embeddings"]["embedding"]))[order]
    weights = {**embedder.params["encoder"], "word_embeddings": {"embedding": jax.numpy.asarray(table)}}
    params = {**embedder.params, "encoder": pad_vocabulary(weights, smaller.table_rows)}
    trimmed = dataclasses.replace(embedder, config=smaller, params=params, tokenizer=tokenizer)
    _check_same_tokens(old, plain_backend(tokenizer), texts, prompts)
    _check_same_embeddings(embedder, trimmed, texts)
    return trimmed


def vocabulary_report(before: Embedder, after: Embedder) -> str:
    """The sizes of the vocabulary and of the float32 weights, before and after."""
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(model.params)) * 4 / 1e6 for model in (before, after)]
    return (
        f"{len(after.tokenizer):,} of {len(before.tokenizer):,} tokens kept, "
        f"{sizes[1]:,.1f} MB of weights instead of {sizes[0]:,.1f} MB"
    )


def _ids(backend: Tokenizer) -> dict[str, int]:
    return backend.get_vocab(with_added_tokens=True)


def _encoded(backend: Tokenizer, texts: Sequence[str], prompts: Sequence[str]) -> Iterator[Any]:
    for prompt in prompts:
        stream = iter(texts)
        while block := [prompt + text for text in islice(stream, BLOCK)]:
            yield from backend.encode_batch(block)


# ------------------------------------------------------------------------------------------- kinds of vocabularies


def _is_smallest(token: str, *affixes: str | None) -> bool:
    """One character, apart from a prefix or suffix; or one byte, `<0x0A>`."""
    if token.startswith("<0x") and token.endswith(">") and len(token) == 6:
        return True
    bare = [token.removeprefix(affix).removesuffix(affix) for affix in affixes if affix]
    return any(len(one) <= 1 for one in [token, *bare])


def _keep_word_pieces(model: Mapping[str, Any], used: set[int]) -> set[int]:
    """Longest match first: removing tokens that never matched does not change the matches."""
    vocabulary, prefix = model["vocab"], model["continuing_subword_prefix"]
    smallest = {number for token, number in vocabulary.items() if _is_smallest(token, prefix)}
    return used | smallest | {vocabulary[token] for token in [model["unk_token"]] if token in vocabulary}


def _keep_unigrams(model: Mapping[str, Any], used: set[int]) -> set[int]:
    """The best path stays the best among fewer. The lowest score must stay: unknown characters score 10 below it."""
    vocabulary = model["vocab"]
    kept = used | {number for number, (token, _) in enumerate(vocabulary) if _is_smallest(token)}
    kept.add(min(range(len(vocabulary)), key=lambda number: vocabulary[number][1]))
    return kept | ({model["unk_id"]} - {None})


def _keep_pairs(model: Mapping[str, Any], used: set[int]) -> set[int]:
    """All merges that make a kept token stay, in their order, so that the same merges apply."""
    vocabulary: dict[str, int] = model["vocab"]
    affixes = (model.get("continuing_subword_prefix"), model.get("end_of_word_suffix"))
    kept = used | {number for token, number in vocabulary.items() if _is_smallest(token, *affixes)}
    kept |= {vocabulary[token] for token in [model.get("unk_token")] if token in vocabulary}
    parts: dict[int, set[int]] = {}
    for left, right in _merges(model):
        parts.setdefault(_merged(model, left, right), set()).update((vocabulary[left], vocabulary[right]))
    todo = list(kept)
    while todo:
        for number in parts.get(todo.pop(), set()) - kept:
            kept.add(number)
            todo.append(number)
    return kept


def _merges(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield left, right


def _merged(model: Mapping[str, Any], left: str, right: str) -> int:
    prefix = model.get("continuing_subword_prefix") or ""
    return model["vocab"][left + right.removeprefix(prefix)]


def _edit_table(model: Mapping[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    vocabulary = {token: new_id[number] for token, number in model["vocab"].items() if number in new_id}
    return {**model, "vocab": vocabulary}


def _edit_unigrams(model: Mapping[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    vocabulary = [entry for number, entry in enumerate(model["vocab"]) if number in new_id]
    return {**model, "vocab": vocabulary, "unk_id": new_id.get(model["unk_id"])}


def _edit_pairs(model: Mapping[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    vocabulary = model["vocab"]
    merges = [
        [left, right]
        for left, right in _merges(model)
        if {vocabulary[left], vocabulary[right], _merged(model, left, right)} <= new_id.keys()
    ]
    return _edit_table({**model, "merges": merges}, new_id)


@dataclasses.dataclass(frozen=True)
class _Kind:
    keep: Callable[[Mapping[str, Any], set[int]], set[int]]
    """The ids that must stay in addition to those that are used."""
    edit: Callable[[Mapping[str, Any], Mapping[int, int]], dict[str, Any]]
    """The model of `tokenizer.json` with only these ids, renumbered."""


_KINDS = {
    "WordPiece": _Kind(_keep_word_pieces, _edit_table),
    "Unigram": _Kind(_keep_unigrams, _edit_unigrams),
    "BPE": _Kind(_keep_pairs, _edit_pairs),
}


def _renumbered(processor: dict[str, Any], new_id: Mapping[int, int]) -> dict[str, Any]:
    """A post-processor with the new ids."""
    changed = dict(processor)
    if "processors" in processor:  # a sequence of them
        changed["processors"] = [_renumbered(one, new_id) for one in processor["processors"]]
    for name in {"sep", "cls"} & processor.keys():  # BERT's and RoBERTa's: [token, id]
        token, number = processor[name]
        changed[name] = [token, new_id[number]]
    if "special_tokens" in processor:  # a template's
        changed["special_tokens"] = {
            token: {**entry, "ids": [new_id[number] for number in entry["ids"]]}
            for token, entry in processor["special_tokens"].items()
        }
    return changed


# ------------------------------------------------------------------------------------------------------ comparison


def _check_same_tokens(old: Tokenizer, new: Tokenizer, texts: Sequence[str], prompts: Sequence[str]) -> None:
    compared = zip(_encoded(old, texts, prompts), _encoded(new, texts, prompts), strict=True)
    for number, (before, after) in enumerate(compared):
        if before.tokens != after.tokens or [old.id_to_token(i) for i in before.ids] != [
            new.id_to_token(i) for i in after.ids
        ]:
            raise UserError(
                f"the vocabulary cannot be trimmed: text {number % len(texts) + 1} would be cut into other tokens: "
                f"{after.tokens[:20]}, not {before.tokens[:20]}"
            )


def _check_same_embeddings(before: Embedder, after: Embedder, texts: Sequence[str]) -> None:
    sample = [texts[int(index)] for index in np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts)))]
    with jax.default_matmul_precision("highest"):
        wanted, found = (encode(one, sample, batch_size=8) for one in (before, after))
    difference = float(np.abs(wanted - found).max()) / max(1.0, float(np.linalg.norm(wanted, axis=1).max()))
    if not difference <= TOLERANCE:
        raise UserError(f"the vocabulary cannot be trimmed: embeddings would differ by {difference:.2g}")
