"""The loss of predicting masked tokens, against transformers and on any mesh, padded or packed."""

import functools
from pathlib import Path

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models, objectives
from jaxemb.config import LoraConfig, MaskingConfig, MlmObjective, ModelConfig
from jaxemb.huggingface.files.configs import encoder_config_json
from jaxemb.huggingface.files.weights import encoder_from_tensors, encoder_to_tensors
from jaxemb.models.lora import merge
from jaxemb.objectives.masking import mask_tokens
from jaxemb.parallel import make_mesh
from support.masking import KINDS, LENGTH, ROWS, parameters, texts
from support.packed import packed
from support.tiers import sampled
from support.tiny_models import ENCODERS, TOKENIZER


def model_of(family="bert", **settings):
    encoder = ENCODERS[family].model_copy(update={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    return ModelConfig(encoder=encoder, **settings)


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
def test_on_a_mesh_and_packed_it_is_the_same(devices, pack, fsdp):
    """With dropout, and with a text of weight 0; positions are gathered, so a full computation is the reference."""
    model = ModelConfig(encoder=ENCODERS["bert"])
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
