"""LoRA's adapters: their value and gradient beside PEFT's, which runs live."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models
from jaxemb.config import LoraConfig, ModelConfig, Qwen3Config
from jaxemb.errors import UsageError
from jaxemb.models.lora import add_adapters, merge
from jaxemb.models.paths import at_path
from support.packed import packed
from support.tiny_models import ENCODER, embed, tiny_embedder

ATTENTION = r"encoder/layers/attention/(query|key|value|output)/kernel"
EVERYWHERE = r"encoder/.*kernel"
TOKENS = {
    "input_ids": jnp.asarray(np.random.default_rng(0).integers(5, 90, (6, 11)), jnp.int32),
    "attention_mask": jnp.asarray(np.arange(11)[None] < np.array([[11], [3], [7], [9], [1], [5]]), jnp.int32),
}


draw = jax.jit(models.init, static_argnums=0)


def adapted(targets=ATTENTION, **settings):
    """A model whose adapters change it."""
    return tiny_embedder(lora=LoraConfig(rank=3, alpha=5.0, targets=targets), **settings)


def test_what_is_drawn():
    config = adapted().config
    params = draw(config, jax.random.key(0))
    assert list(params["lora"]) == [
        f"encoder/layers/attention/{name}/kernel" for name in ("key", "output", "query", "value")
    ]
    for adapter in params["lora"].values():
        assert adapter["a"].shape == (2, 32, 3)
        assert adapter["b"].shape == (2, 3, 32)
        bound = 1 / np.sqrt(32)
        assert bound * 0.97 < float(jnp.abs(adapter["a"]).max()) < bound
        assert float(adapter["a"].std()) == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert not adapter["b"].any()
    drawn = [np.asarray(adapter["a"]) for adapter in params["lora"].values()]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1
    # The other parameters are those of a model without.
    plain = config.model_copy(update={"lora": None})
    without = draw(plain, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, {k: v for k, v in params.items() if k != "lora"}, without)


def test_drawn_as_peft_draws():
    """Moments of many draws: U(-1/sqrt(in), 1/sqrt(in)), whatever the rank."""
    torch = pytest.importorskip("torch")
    import peft
    from peft.tuners.lora import Linear

    torch.manual_seed(0)
    layer = Linear(torch.nn.Linear(500, 4), "default", peft.LoraConfig(), r=64)
    theirs = layer.lora_A["default"].weight.detach().numpy()
    shapes = {"encoder": {"kernel": jax.ShapeDtypeStruct((500, 4), np.float32)}}
    config = ModelConfig(lora=LoraConfig(rank=64, targets="encoder/kernel"))
    ours = add_adapters(config, shapes, jax.random.key(0))["lora"]["encoder/kernel"]["a"]
    assert ours.shape == theirs.T.shape
    assert float(ours.std()) == pytest.approx(theirs.std(), rel=0.02)
    assert float(jnp.abs(ours).max()) == pytest.approx(np.abs(theirs).max(), rel=1e-3)


def test_merged_by_hand():
    config = adapted(EVERYWHERE).config
    params = adapted(EVERYWHERE).params
    found = merge(config, params)
    assert "lora" not in found
    assert len(params["lora"]) == 6
    changed = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        name = "/".join(key.key for key in path)
        wanted = np.asarray(at_path(params, name), np.float64)
        if name in params["lora"]:
            a, b = (np.asarray(params["lora"][name][part], np.float64) for part in "ab")
            wanted = np.stack([w + 5.0 / 3 * (x @ y) for w, x, y in zip(wanted, a, b, strict=True)])
            changed.add(name)
            np.testing.assert_allclose(leaf, wanted, atol=1e-6)
        else:
            np.testing.assert_array_equal(leaf, wanted)
    assert changed == params["lora"].keys()


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("scan", [False, True])
def test_apply_uses_the_merged_kernels(pack, scan):
    embedder = adapted(scan_layers=scan)
    merged = embedder.merged()
    assert merged.config.lora is None
    tokens = jax.tree.map(jnp.asarray, packed(TOKENS, 1, length=32)) if pack else TOKENS
    found = embed(embedder.config, embedder.params, tokens)
    np.testing.assert_allclose(found, embed(merged.config, merged.params, tokens), atol=1e-6)
    without = {name: tree for name, tree in embedder.params.items() if name != "lora"}
    assert np.abs(found - embed(merged.config, without, tokens)).max() > 0.05
    with pytest.raises(ValueError, match=r"model\.lora, which has their scale, is not set"):
        merged.apply(embedder.params, tokens)


@pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)  # peft with transformers 5
@pytest.mark.parametrize("targets", [ATTENTION, EVERYWHERE])
def test_value_and_gradient_are_those_of_peft(targets, tmp_path):
    """Both backward passes run: through PEFT's x A B beside x W, and through our W + A B."""
    torch = pytest.importorskip("torch")
    import peft
    import transformers

    from jaxemb.huggingface.files.configs import encoder_config_json
    from jaxemb.huggingface.files.weights import encoder_to_tensors

    embedder = adapted(targets, pooling="mean", dense=None, normalize=False)
    config, params = embedder.config, embedder.params
    base = transformers.BertModel(
        transformers.BertConfig(**encoder_config_json(config.encoder, "float32")), add_pooling_layer=False
    )
    tensors = {name: torch.tensor(a) for name, a in encoder_to_tensors(params["encoder"], config.encoder).items()}
    base.load_state_dict(tensors)
    names = ["query", "key", "value", "attention.output.dense"]
    names += ["intermediate.dense", "output.dense"] if targets == EVERYWHERE else []
    theirs = peft.get_peft_model(base, peft.LoraConfig(r=3, lora_alpha=5.0, target_modules=names)).eval().double()
    places = {
        "attention/query": "attention.self.query", "attention/key": "attention.self.key",
        "attention/value": "attention.self.value", "attention/output": "attention.output.dense",
        "intermediate": "intermediate.dense", "output": "output.dense",
    }  # fmt: skip

    def factors(path, layer):
        place = places[path.removeprefix("encoder/layers/").removesuffix("/kernel")]
        module = theirs.get_submodule(f"base_model.model.encoder.layer.{layer}.{place}")
        return {"a": module.lora_A["default"].weight, "b": module.lora_B["default"].weight}

    with torch.no_grad():
        for path, adapter in params["lora"].items():
            for layer in range(2):
                for part, weight in factors(path, layer).items():
                    weight.copy_(torch.tensor(np.asarray(adapter[part][layer]).T))
    ids, mask = (torch.tensor(np.asarray(TOKENS[name])) for name in ("input_ids", "attention_mask"))
    hidden = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    direction = np.random.default_rng(1).normal(size=(6, 32))
    (pooled * torch.tensor(direction)).sum().backward()

    def loss(adapters):
        embeddings = embedder.apply({**params, "lora": adapters}, TOKENS)
        return (embeddings * direction).sum(), embeddings

    (_, embeddings), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params["lora"])
    np.testing.assert_allclose(embeddings, pooled.detach().numpy(), atol=2e-5)
    for path, gradient in gradients.items():
        for layer in range(2):
            for part, weight in factors(path, layer).items():
                wanted = weight.grad.numpy().T
                largest = np.abs(wanted).max()
                assert largest > 1e-3
                np.testing.assert_allclose(gradient[part][layer] / largest, wanted / largest, atol=1e-4, err_msg=path)


def test_targets_that_match_nothing():
    message = (
        r"model\.lora\.targets: .* matches no kernel of the encoder; the nearest are encoder/layers/attention/query"
    )
    with pytest.raises(UsageError, match=message):
        adapted("encoder/layer/attention/query/kernel")
    with pytest.raises(ValueError, match=r"targets: '\(' is not a valid regular expression"):
        LoraConfig(targets="(")


def test_grouped_queries_and_a_gate():
    encoder = Qwen3Config(
        vocab_size=ENCODER.vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, intermediate_size=48,
    )  # fmt: skip
    embedder = adapted(EVERYWHERE, encoder=encoder, pooling="lasttoken", dense=None)
    assert len(embedder.params["lora"]) == 7
    assert embedder.params["lora"]["encoder/layers/attention/key/kernel"]["b"].shape == (2, 3, 32)
    assert embedder.params["lora"]["encoder/layers/attention/query/kernel"]["b"].shape == (2, 3, 64)
    merged = embedder.merged()
    found = embed(embedder.config, embedder.params, TOKENS)
    np.testing.assert_allclose(found, embed(merged.config, merged.params, TOKENS), atol=1e-6)
