from dataclasses import replace
from types import SimpleNamespace
from typing import Literal, get_args, get_origin

import jax
import numpy as np
import pytest
from pydantic import BaseModel

from jaxemb.config import BertConfig, LoraConfig, ModelConfig, Prompt
from jaxemb.config.kinds import EMBEDDING_KINDS, PROGRAM_KINDS, Kind, kinds_of
from jaxemb.encoding.fingerprint import fingerprint
from jaxemb.encoding.texts import embed_batch
from jaxemb.models import init
from jaxemb.models.embedding import pad_vocabulary
from jaxemb.training.loop.compilations import compilations_of
from support.tiny_models import ENCODERS, TOKENIZER_OF_MPNET, embed, tiny_embedder, tiny_tokenizer

EMBEDDER = tiny_embedder(pooling="mean")
FAMILIES = sorted(ENCODERS.keys() - {"xlm-roberta"})
OTHERS = {
    "init_from": "somewhere", "init_allow": "x", "lora": LoraConfig(), "embedding_dropout": 0.3, "pooling": "max",
    "out_features": 8, "truncate_dim": 7, "prompt": "query: ", "prompts": (Prompt(name="a", text="b"),),
    "scan_layers": True, "targets": "query",
}  # fmt: skip
"""Another value for each setting that is neither a number nor one of a few words: a new one needs one."""


def another(settings, name):
    """A value of the setting that is not the one it has; the same if there is no other."""
    value, annotation = getattr(settings, name), type(settings).model_fields[name].annotation
    if get_origin(annotation) is Literal:
        return next((one for one in get_args(annotation) if one != value), value)
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 + 0.01
        case _:
            assert OTHERS[name] != value
            return OTHERS[name]


def changes(settings):
    """Each setting in turn, nested ones too: (its path, its kind, the settings with another value of it)."""
    for name, kind in kinds_of(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for path, inner_kind, inner in changes(value):
                yield f"{name}.{path}", inner_kind, settings.model_copy(update={name: inner})
        else:
            update = {name: another(settings, name)}
            if update[name] != value:
                yield name, kind, settings.model_copy(update=update)


def changed(settings, kinds):
    """The settings with another value of each that is of these kinds, nested ones too."""
    update = {}
    for name, kind in kinds_of(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            update[name] = changed(value, kinds)
        elif kind in kinds:
            update[name] = another(settings, name)
    return settings.model_copy(update=update)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_setting_that_changes_an_embedding_changes_the_fingerprint_and_no_other(family):
    embedder = tiny_embedder(encoder=ENCODERS[family], lora=LoraConfig(rank=2))
    own = fingerprint(embedder)
    seen = {own: "none"}
    for path, kind, config in changes(embedder.config):
        found = fingerprint(replace(embedder, config=config))
        if kind in EMBEDDING_KINDS:
            assert found not in seen, f"{path} changes embeddings, but the fingerprint is that of {seen[found]}"
            seen[found] = path
        else:
            assert found == own, f"{path} changes no embedding"
    assert len(seen) > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_other_settings_change_no_embedding(family):
    """Were `normalize`, for example, declared `Training` or `Text`, this would fail."""
    embedder = tiny_embedder(encoder=ENCODERS[family], pooling="mean")
    embed_batch.clear_cache()
    with compilations_of(embed_batch) as compiled:
        expected = embedder.encode(["a b c", "d"])
        assert compiled() == 1
        other = replace(embedder, config=changed(embedder.config, set(Kind) - EMBEDDING_KINDS - {Kind.PROGRAM}))
        assert other.config.encoder.hidden_dropout_prob != embedder.config.encoder.hidden_dropout_prob
        np.testing.assert_array_equal(other.encode(["a b c", "d"]), expected)
        assert compiled() == 1
    other = replace(embedder, config=changed(embedder.config, set(Kind) - EMBEDDING_KINDS))
    np.testing.assert_allclose(other.encode(["a b c", "d"]), expected, atol=1e-6)

    # `encode` sets these aside; that the function itself does not look at them is what allows it to.
    ids = np.array([[2, 9, 7, 30, 3], [2, 8, 3, 0, 0]], np.int32)
    tokens = {"input_ids": ids, "attention_mask": (np.arange(5) < [[5], [3]]).astype(np.int32)}
    aside = changed(embedder.config, set(Kind) - PROGRAM_KINDS)
    assert (aside.prompt, aside.include_prompt, aside.remat) == ("query: ", False, "dots")
    np.testing.assert_allclose(
        embed(aside, embedder.params, tokens), embed(embedder.config, embedder.params, tokens), atol=1e-6
    )


def test_prompt_tokenizer_and_weights_count():
    leaf = EMBEDDER.params["encoder"]["layers"]["attention"]["key"]["kernel"]
    weights = jax.tree.map(
        lambda other: other.at[(0,) * other.ndim].add(1e-6) if other is leaf else other, EMBEDDER.params
    )
    cut_left = tiny_tokenizer()
    cut_left.truncation_side = "left"
    others = [
        replace(EMBEDDER, tokenizer=cut_left),
        EMBEDDER.with_prompt("query: "),
        replace(EMBEDDER, params=weights),
        replace(EMBEDDER, tokenizer=TOKENIZER_OF_MPNET),
        tiny_embedder(seed=1, pooling="mean"),
    ]
    assert len({fingerprint(one) for one in [EMBEDDER, *others]}) == len(others) + 1


def test_what_only_training_has_and_where_arrays_lie_does_not_count():
    own = fingerprint(EMBEDDER)
    with_mlp = tiny_embedder(pooling="mean", training_mlp=True)
    assert "training_mlp" in with_mlp.params
    params = {**EMBEDDER.params, "training_mlp": with_mlp.params["training_mlp"]}
    assert fingerprint(replace(EMBEDDER, config=with_mlp.config, params=params)) == own
    assert fingerprint(replace(EMBEDDER, params=jax.device_get(EMBEDDER.params))) == own
    EMBEDDER.encode(["a b c"])  # leaves its truncation with the tokenizer
    assert fingerprint(EMBEDDER) == own


def test_padding_of_the_embedding_table_does_not_count():
    config = EMBEDDER.config.model_copy(update={"vocab_multiple": 64})
    padded = {**EMBEDDER.params, "encoder": pad_vocabulary(EMBEDDER.params["encoder"], config.table_rows)}
    rows = len(padded["encoder"]["word_embeddings"]["embedding"])
    assert rows == config.table_rows > (config.encoder.vocab_size or 0)
    assert jax.tree.map(np.shape, padded) == jax.tree.map(
        np.shape, jax.eval_shape(lambda key: init(config, key), jax.random.key(0))
    )
    assert fingerprint(replace(EMBEDDER, config=config, params=padded)) == fingerprint(EMBEDDER)


def test_embeddings_that_earlier_releases_stored_are_found():
    """Recorded when the settings were still listed by hand. If it changes, every teacher embeds all texts again."""
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    backend = SimpleNamespace(to_str=lambda: '{"model": "a", "truncation": 3, "padding": 4}')
    old = SimpleNamespace(
        config=ModelConfig(encoder=BertConfig(vocab_size=4)),
        params={"encoder": {"word_embeddings": {"embedding": table}}},
        tokenizer=SimpleNamespace(truncation_side="right", backend_tokenizer=backend),
    )
    assert fingerprint(old) == "d1388bde542ad2894ec0"
