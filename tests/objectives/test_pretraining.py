"""Which tokens are masked, and the loss of predicting them, against transformers and on any mesh, padded or packed."""

import functools
import itertools
from pathlib import Path

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from transformers import BertTokenizerFast

from jaxemb import models, objectives
from jaxemb.config import LoraConfig, MaskingConfig, MlmObjective, ModelConfig, SimcseObjective, SupervisedSimcse
from jaxemb.errors import UsageError
from jaxemb.huggingface.configs import encoder_config_json
from jaxemb.huggingface.weights import encoder_from_tensors, encoder_to_tensors
from jaxemb.models.lora import merge
from jaxemb.objectives.masking import CONTINUES, TokenKinds, mask_tokens, most_predictions, token_kinds
from jaxemb.packing import texts_per_row
from jaxemb.parallel import make_mesh
from support.packed import packed
from support.tiers import sampled
from support.tiny_models import ENCODERS, TOKENIZER, tiny_embedder

V, LENGTH, ROWS = len(TOKENIZER), 40, 16
KINDS = token_kinds(TOKENIZER)
FIRST, CLS, SEP, MASK = 5, TOKENIZER.cls_token_id, TOKENIZER.sep_token_id, TOKENIZER.mask_token_id


def texts(rows=ROWS, longest=LENGTH, seed=0):
    """Token ids from [CLS] to [SEP], of all lengths from one real token on."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, longest + 1, (rows, 1))
    lengths[:2, 0] = 3, longest
    ids, places = rng.integers(FIRST, V, (rows, longest)), np.arange(longest)[None]
    ids = np.where(places == 0, CLS, np.where(places == lengths - 1, SEP, ids))
    mask = (places < lengths).astype(np.int32)
    return {
        "input_ids": jnp.asarray(ids * mask, jnp.int32),
        "attention_mask": jnp.asarray(mask),
        "ids": jnp.arange(rows, dtype=jnp.uint32) + 100 * seed,
    }


def masked_places(tokens, masked):
    """For each row its predicted places, from the gathered positions."""
    live = np.asarray(masked.labels) >= 0
    return [sorted(np.asarray(row)[own].tolist()) for row, own in zip(masked.positions, live, strict=True)]


@pytest.mark.parametrize(("share", "most"), sampled([(0.2, 80), (0.5, 6)], [(0.15, 80), (0.01, 80)]))
def test_as_many_as_asked_for_and_no_special_token(share, most):
    tokens, config = texts(rows=64), MaskingConfig(share=share, max_predictions=most)
    masked = mask_tokens(tokens, jax.random.key(0), KINDS, config)
    ids, replaced = np.asarray(tokens["input_ids"]), np.asarray(masked.input_ids)
    assert masked.positions.shape[1] <= most
    for row, places in enumerate(masked_places(tokens, masked)):
        real = int(tokens["attention_mask"][row].sum()) - 2
        assert len(places) == len(set(places)) == max(1, min(most, int(round(share * 10_000) * real // 10_000)))
        assert all(1 <= place <= real for place in places)
        unchanged = np.delete(np.arange(LENGTH), places)
        np.testing.assert_array_equal(replaced[row, unchanged], ids[row, unchanged])
        for place, label in zip(masked.positions[row].tolist(), masked.labels[row].tolist(), strict=True):
            assert label in (-100, ids[row, place])


def test_eighty_ten_ten():
    tokens = texts(rows=4000)
    masked = mask_tokens(tokens, jax.random.key(1), KINDS, MaskingConfig())
    live = np.asarray(masked.labels) >= 0
    now = np.take_along_axis(np.asarray(masked.input_ids), np.asarray(masked.positions), axis=1)[live]
    was = np.asarray(masked.labels)[live]
    count = len(was)
    assert count > 5000
    assert np.mean(now == MASK) == pytest.approx(0.8, abs=4 * (0.16 / count) ** 0.5)
    assert np.mean(now == was) == pytest.approx(0.1, abs=4 * (0.09 / count) ** 0.5 + 0.1 / V)
    random = now[(now != MASK) & (now != was)]
    assert (random >= FIRST).all()
    assert len(set(random.tolist())) > 0.8 * (V - FIRST)  # any word may come
    assert len(set(was.tolist())) > 0.9 * (V - FIRST)
    places = np.asarray(masked.positions)[live] / np.asarray(tokens["attention_mask"]).sum(1)[np.nonzero(live)[0]]
    assert places.mean() == pytest.approx(0.5, abs=0.03)  # anywhere in a text


def test_masks_are_a_pure_function_of_key_example_and_place():
    tokens, key, config = texts(), jax.random.key(2), MaskingConfig()
    masked = mask_tokens(tokens, key, KINDS, config)

    def by_text(tokens, masked):
        """The masked ids of each text, wherever it lies."""
        ids = np.asarray(masked.input_ids)
        if "slots" not in tokens:
            masks = np.asarray(tokens["attention_mask"])
            return [row[mask == 1].tolist() for row, mask in zip(ids, masks, strict=True)]
        groups, segments = tokens["slots"], np.asarray(tokens["segment_ids"])
        size, per_row = len(ids) // len(groups), texts_per_row(segments.shape[1])
        found = []
        for group, slots in enumerate(np.asarray(groups)):
            for row, number in zip(group * size + slots // per_row, 1 + slots % per_row, strict=True):
                found.append(ids[row][segments[row] == number].tolist())
        return found

    expected = by_text(tokens, masked)
    order = np.random.default_rng(0).permutation(ROWS)
    shuffled = {name: values[order] for name, values in tokens.items()}
    again = by_text(shuffled, mask_tokens(shuffled, key, KINDS, config))
    assert again == [expected[place] for place in order]
    for devices, length in ((1, 48), (4, 40)):
        rows = jax.tree.map(jnp.asarray, packed(tokens, devices, length))
        assert by_text(rows, mask_tokens(rows, key, KINDS, config)) == expected
    assert by_text(tokens, mask_tokens(tokens, jax.random.key(3), KINDS, config)) != expected  # another step
    other = tokens | {"ids": tokens["ids"] + 1}
    assert by_text(tokens, mask_tokens(other, key, KINDS, config)) != expected


@pytest.mark.parametrize(
    ("share", "longest"), sampled([(0.05, 3), (0.6, 6), (0.2, 12)], [(0.2, 3), (0.3, 6), (0.6, 3), (0.05, 12)])
)
def test_rows_of_many_short_texts_have_room_for_all_predictions(share, longest):
    tokens, config = texts(rows=40, longest=longest), MaskingConfig(share=share)
    rows = jax.tree.map(jnp.asarray, packed(tokens, 1, 24))
    masked = mask_tokens(rows, jax.random.key(0), KINDS, config)
    real = np.asarray(tokens["attention_mask"]).sum(1) - 2
    wanted = np.maximum(1, round(share * 10_000) * real // 10_000).sum()
    assert (np.asarray(masked.labels) >= 0).sum() == wanted
    assert (np.asarray(masked.input_ids) != np.asarray(rows["input_ids"])).sum() <= wanted
    assert masked.labels.shape[1] == most_predictions(config, 24, 2, texts_per_row(24))
    assert wanted <= most_predictions(config, rows["input_ids"].size, 2, len(real))


def test_whole_words():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "##c", "d"]
    tokenizer = BertTokenizerFast(vocab={piece: number for number, piece in enumerate(pieces)})
    kinds = token_kinds(tokenizer)
    assert kinds.kinds.tolist() == [0, 0, 0, 0, 0, 1, CONTINUES, CONTINUES, 1]
    words, rng = ["abc", "ab", "d", "a"], np.random.default_rng(0)
    lines = [" ".join(rng.choice(words, rng.integers(4, 12))) for _ in range(200)]
    encoded = tokenizer(lines, padding=True, return_tensors="np")
    tokens = {name: jnp.asarray(encoded[name], jnp.int32) for name in ("input_ids", "attention_mask")}
    tokens["ids"] = jnp.arange(200, dtype=jnp.uint32)
    masked = mask_tokens(tokens, jax.random.key(0), kinds, MaskingConfig(share=0.4, whole_word=True))
    seen, ids = 0, np.asarray(tokens["input_ids"])
    for row, places in enumerate(masked_places(tokens, masked)):
        real = int(tokens["attention_mask"][row].sum()) - 2
        assert len(places) <= 0.4 * real
        begins = [place for place in range(1, real + 2) if ids[row, place] not in (6, 7)]
        for begin, end in itertools.pairwise(begins):
            inside = [place in places for place in range(begin, end)]
            assert len(set(inside)) == 1, "a word is hidden whole or not at all"
            seen += inside[0]
    assert seen > 300


def test_kinds_of_other_tokenizers():
    from tokenizers import Tokenizer
    from tokenizers import models as backends
    from transformers import PreTrainedTokenizerFast

    special = {"mask_token": "<mask>", "unk_token": "<unk>"}
    vocabulary = [("<unk>", 0.0), ("<mask>", 0.0), ("\u2581ab", -1.0), ("c", -2.0)]
    unigram = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(backends.Unigram(vocabulary, 0)), **special)
    assert token_kinds(unigram).kinds.tolist() == [0, 0, 1, CONTINUES]
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(backends.Unigram(vocabulary, 0)), unk_token="<unk>")
    with pytest.raises(UsageError, match="the tokenizer has no mask token"):
        token_kinds(bare)


def model_of(family="bert", **settings):
    encoder = ENCODERS[family].model_copy(update={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    return ModelConfig(encoder=encoder, **settings)


def parameters(model, objective):
    params = models.init(model, jax.random.key(0)) | objectives.init_params(objective, model, jax.random.key(1))
    rng = np.random.default_rng(0)  # biases and norms, too
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(rng.normal(0, 0.1, leaf.shape), leaf.dtype), params)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_value_and_gradient_are_transformers_own(family):
    torch = pytest.importorskip("torch")
    import transformers

    kind = {"bert": transformers.BertForMaskedLM, "roberta": transformers.RobertaForMaskedLM}[family]
    model, objective = model_of(family), MlmObjective(masking=MaskingConfig(vocabulary_chunk=7))
    encoder = model.encoder.model_copy(update={"pad_token_id": 0})
    model = model.model_copy(update={"encoder": encoder})
    torch.manual_seed(0)
    theirs = kind(kind.config_class(**encoder_config_json(encoder), attn_implementation="eager")).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    state = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    inside = {name.removeprefix(f"{family}."): value for name, value in state.items() if name.startswith(f"{family}.")}
    params = models.init(model, jax.random.key(0))
    params["encoder"] = encoder_from_tensors(
        {name: (lambda value=value: value) for name, value in inside.items()}, encoder, Path("oracle")
    )
    names = {
        "bert": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
        "roberta": ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    }[family]
    dense, norm, bias = names
    params["objective"] = {
        "mlm": {
            "dense": {"kernel": jnp.asarray(state[f"{dense}.weight"].T), "bias": jnp.asarray(state[f"{dense}.bias"])},
            "norm": {"scale": jnp.asarray(state[f"{norm}.weight"]), "bias": jnp.asarray(state[f"{norm}.bias"])},
            "bias": jnp.asarray(state[bias]),
        }
    }
    tokens, key = texts(), jax.random.key(4)
    masked = mask_tokens(tokens, key, KINDS, objective.masking)
    labels = np.full((ROWS, LENGTH), -100)
    live = np.asarray(masked.labels) >= 0
    labels[np.nonzero(live)[0], np.asarray(masked.positions)[live]] = np.asarray(masked.labels)[live]
    out = theirs(
        input_ids=torch.tensor(np.asarray(masked.input_ids), dtype=torch.long),
        attention_mask=torch.tensor(np.asarray(tokens["attention_mask"]), dtype=torch.long),
        labels=torch.tensor(labels),
    )
    out.loss.backward()

    loss, gradient = run(objective, model, params, tokens, 1, key)
    assert float(loss) == pytest.approx(out.loss.item(), rel=1e-5)
    grads = {name: value.grad.numpy() for name, value in theirs.named_parameters() if value.grad is not None}
    own = gradient["objective"]["mlm"]
    assert_close(own["dense"]["kernel"].T, grads[f"{dense}.weight"])
    assert_close(own["norm"]["scale"], grads[f"{norm}.weight"])
    assert_close(own["bias"], grads[bias])
    for name, value in encoder_to_tensors(gradient["encoder"], encoder).items():
        if not name.endswith("key.bias"):
            wanted = grads[f"{family}.{name}"].copy()
            if name.endswith(("word_embeddings.weight", "position_embeddings.weight")):
                value[0], wanted[0] = 0.0, 0.0  # torch gives its padding row no gradient from the encoder
            assert_close(value, wanted)


def assert_close(found, wanted, tolerance=2e-5):
    largest = np.abs(wanted).max()
    assert largest > 0
    assert np.abs(np.asarray(found) - wanted).max() <= tolerance * max(largest, 1e-2)


def run(objective, model, params, tokens, devices, key, pack=False, weights=None, fsdp=1):
    mesh = make_mesh(devices // fsdp, fsdp, jax.devices()[:devices])
    built = objectives.build(objective, model, mesh, TOKENIZER)
    rows = {name: values for name, values in tokens.items() if name != "ids"}
    if pack:
        rows = jax.tree.map(jnp.asarray, packed(rows, devices, length=48))
    batch = {"text": rows, "id": tokens["ids"], "weight": jnp.ones(ROWS) if weights is None else weights}
    return jax.jit(jax.value_and_grad(lambda params: built(params, batch, key)[0]))(params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "pack", "fsdp"),
    sampled([(8, True, 4)], [(2, False, 1), (8, True, 1), (8, False, 2), (1, True, 1)]),
)
def test_on_a_mesh_and_packed_it_is_the_same(devices, pack, fsdp, monkeypatch):
    """With dropout, and with a text of weight 0; positions are gathered, so a full computation is the reference."""
    model = ModelConfig(encoder=ENCODERS["bert"])
    monkeypatch.setattr("jaxemb.parallel.mesh.MIN_SHARDED_ELEMENTS", 1)  # so that the table is split over fsdp
    masking = MaskingConfig(vocabulary_chunk=50, whole_word=pack)
    objective, tokens, key = MlmObjective(masking=masking), texts(), jax.random.key(5)
    params, weights = parameters(model, objective), jnp.ones(ROWS).at[3].set(0.0)

    def full(params):
        """Every token's logits, and the cross-entropy of those that were hidden."""
        masked = mask_tokens(tokens, key, KINDS, objective.masking)
        hidden = models.token_outputs(model, params, {**tokens, "input_ids": masked.input_ids}, key).last
        head = params["objective"]["mlm"]
        x = jax.nn.gelu(hidden @ head["dense"]["kernel"] + head["dense"]["bias"][None, None], approximate=False)
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-12)
        x = x * head["norm"]["scale"][None, None] + head["norm"]["bias"][None, None]
        logits = x @ params["encoder"]["word_embeddings"]["embedding"].T + head["bias"][None, None]
        log_probabilities = jax.nn.log_softmax(logits)
        at = jnp.take_along_axis(log_probabilities, masked.positions[:, :, None], axis=1)
        picked = jnp.take_along_axis(at, jnp.maximum(masked.labels, 0)[:, :, None], axis=2)[:, :, 0]
        live = (masked.labels >= 0) * weights[:, None]
        return -(picked * live).sum() / live.sum()

    wanted, expected = jax.jit(jax.value_and_grad(full))(params)
    loss, gradient = run(objective, model, params, tokens, devices, key, pack, weights, fsdp)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    for path, leaf in jax.tree_util.tree_leaves_with_path(expected):
        found = functools.reduce(lambda tree, key: tree[key.key], path, gradient)
        if "dense" in path[0].key or "['key']['bias']" in jax.tree_util.keystr(path):
            assert float(jnp.abs(found).max()) < 1e-6  # the pooler has no part in this
            continue
        assert_close(found, np.asarray(leaf))


def test_the_vocabulary_is_multiplied_in_the_type_of_the_model():
    objective, tokens, key = MlmObjective(), texts(), jax.random.key(7)
    model = model_of()
    params = parameters(model, objective)
    exact, _ = run(objective, model, params, tokens, 1, key)
    short = model.model_copy(update={"compute_dtype": "bfloat16"})
    loss, gradient = run(objective, short, params, tokens, 1, key)
    assert float(loss) == pytest.approx(float(exact), rel=1e-2)
    assert gradient["encoder"]["word_embeddings"]["embedding"].dtype == jnp.float32
    program = jax.make_jaxpr(lambda params: run(objective, short, params, tokens, 1, key))(params)
    products = [equation for equation in equations(program.jaxpr) if equation.primitive.name == "dot_general"]
    rows = model.table_rows
    types = [
        {operand.aval.dtype for operand in product.invars}
        for product in products
        if any(rows in variable.aval.shape for variable in (*product.invars, *product.outvars))
    ]
    assert types == [{jnp.dtype("bfloat16")}] * 4  # the logits, again on the way back, and two gradients


def equations(jaxpr):
    """Of a program and of all that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def test_rows_that_pad_the_table_are_never_predicted():
    objective, tokens, key = MlmObjective(), texts(), jax.random.key(6)
    model = model_of()
    params = parameters(model, objective)
    wider = model.model_copy(update={"vocab_multiple": 64})
    table = params["encoder"]["word_embeddings"]["embedding"]
    more = wider.table_rows - len(table)
    assert more > 0
    encoder = {**params["encoder"], "word_embeddings": {"embedding": jnp.pad(table, ((0, more), (0, 0)))}}
    head = {**params["objective"]["mlm"], "bias": jnp.pad(params["objective"]["mlm"]["bias"], (0, more))}
    padded = {**params, "encoder": encoder, "objective": {"mlm": head}}
    plain, _ = run(objective, model, params, tokens, 1, key)
    loss, gradient = run(objective, wider, padded, tokens, 1, key)
    assert float(loss) == pytest.approx(float(plain), rel=1e-6)
    assert not np.asarray(gradient["encoder"]["word_embeddings"]["embedding"])[len(table) :].any()
    assert not np.asarray(gradient["objective"]["mlm"]["bias"])[len(table) :].any()


def test_adapters_count():
    model, objective, tokens, key = model_of(lora=LoraConfig(rank=2)), MlmObjective(), texts(), jax.random.key(8)
    params = parameters(model, objective)  # the adapters are not zero
    loss, gradient = run(objective, model, params, tokens, 1, key)
    merged, _ = run(objective, model_of(), merge(model, params), tokens, 1, key)
    without, _ = run(objective, model_of(), {k: v for k, v in params.items() if k != "lora"}, tokens, 1, key)
    assert float(loss) == pytest.approx(float(merged), rel=1e-6)
    assert abs(float(loss) - float(without)) > 1e-3
    assert all(np.abs(np.asarray(leaf)).max() > 0 for leaf in jax.tree.leaves(gradient["lora"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled([SupervisedSimcse], [SimcseObjective]))
def test_simcse_with_masked_language_modelling(kind):
    """The loss is that of SimCSE and so many times that of the masked anchors; it trains the head."""
    model = ModelConfig(encoder=ENCODERS["bert"])
    mesh = make_mesh(2, 1, jax.devices()[:2])
    rng, tokens = np.random.default_rng(0), texts()
    anchors = {name: values for name, values in tokens.items() if name != "ids"}
    hashes = {f"{side}_hash": jnp.asarray(rng.integers(0, 2**32, (ROWS, 2)), jnp.uint32) for side in models.SIDES}
    batch = {"anchor": anchors, "positive": anchors, "id": tokens["ids"], "weight": jnp.ones(ROWS)} | hashes
    params, key = parameters(model, kind(mlm_weight=1.0)), jax.random.key(7)
    plain, _ = jax.jit(objectives.build(kind(), model, mesh))(params, batch, key)
    objective = objectives.build(kind(mlm_weight=0.3), model, mesh, TOKENIZER)
    (loss, metrics), gradient = jax.jit(jax.value_and_grad(lambda p: objective(p, batch, key), has_aux=True))(params)
    assert float(loss) == pytest.approx(float(plain) + 0.3 * float(metrics["mlm_loss"]), rel=1e-5)
    assert 0.8 * np.log(V) < float(metrics["mlm_loss"]) < 3 * np.log(V)
    assert np.abs(np.asarray(gradient["objective"]["mlm"]["dense"]["kernel"])).max() > 0
    assert "objective" not in objectives.init_params(kind(), model, key)


def test_kinds_are_of_the_embedder_s_tokenizer():
    kinds = token_kinds(tiny_embedder().tokenizer)
    assert isinstance(kinds, TokenKinds)
    assert kinds.special == 2
    assert kinds.mask_id == MASK
    assert (kinds.kinds == 0).sum() == FIRST
