"""Twenty steps of ours and of sentence-transformers, from the same weights, on the same batches, stay together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import load, objectives
from jaxemb.config import (
    DistillationObjective,
    InfoNceObjective,
    OptimizerConfig,
    SbertClassification,
    SbertRegression,
    SbertTriplet,
    SupervisedSimcse,
)
from jaxemb.huggingface import export
from jaxemb.parallel import make_mesh
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch
from support.tiers import sampled
from support.tiny_models import ENCODERS, tiny_embedder

STEPS, ROWS = 20, 8
OPTIMIZER = OptimizerConfig(learning_rate=1e-3, warmup_share=0.1, weight_decay=0.01)
SIDES = ("anchor", "positive", "negative")


def model_of(family):
    """Without dropout, drawn wide."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = ENCODERS[family].model_copy(update=no_dropout)
    return tiny_embedder(encoder=encoder, pooling="mean", dense=None, normalize=False)


def batch(step, sides):
    """Texts of a few letters, no two of a batch alike, and what any of the losses learns from."""
    rng = np.random.default_rng(step)
    words = ["".join(rng.choice(list("abcdefgh "), rng.integers(4, 20))) + f" {place}" for place in range(3 * ROWS)]
    texts = dict(zip(SIDES, np.array(words).reshape(3, ROWS).tolist(), strict=True))
    return {side: texts[side] for side in sides} | {
        "label": rng.integers(0, 3, ROWS).astype(np.int32),
        "score": rng.random(ROWS).astype(np.float32),
        "teacher": rng.normal(size=(ROWS, 32)).astype(np.float32),
    }


def euclidean_triplets(losses, model):
    return losses.TripletLoss(model, losses.TripletDistanceMetric.EUCLIDEAN, triplet_margin=1.0)


def both_ways(losses, model):
    directions = ("query_to_doc", "doc_to_query")
    return losses.MultipleNegativesRankingLoss(model, directions=directions, partition_mode="per_direction")


def both_terms(losses, model):
    """theirs is the mean over source and target, ours the paper's sum: half and whole."""
    loss = losses.MSELoss(model)
    return lambda features, labels: 2 * loss(features, labels)


def ranking(losses, model):
    return losses.MultipleNegativesRankingLoss(model)


CASES = {  # our objective, their loss, the labels, how many texts an example has
    "softmax": (SbertClassification(), lambda losses, model: losses.SoftmaxLoss(model, 32, 3), "label", 2),
    "cosine": (SbertRegression(), lambda losses, model: losses.CosineSimilarityLoss(model), "score", 2),
    "triplet": (SbertTriplet(), euclidean_triplets, None, 3),
    "ranking": (SupervisedSimcse(), ranking, None, 2),
    "ranking with hard negatives": (SupervisedSimcse(), ranking, None, 3),
    "ranking both ways": (InfoNceObjective(), both_ways, None, 2),
    "mse": (DistillationObjective(teacher="t"), both_terms, "teacher", 2),
}


@functools.cache
def theirs(name, family, folder):
    """The losses of their steps, the classifier before and after, and the model after."""
    torch = pytest.importorskip("torch")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses

    _, loss_of, labels, count = CASES[name]
    model = SentenceTransformer(str(folder), device="cpu")
    torch.manual_seed(0)
    loss = loss_of(losses, model)
    layers = torch.nn.ModuleDict({"model": model})
    if isinstance(loss, losses.SoftmaxLoss):
        layers["classifier"] = loss.classifier
    layers.train()
    classifiers = [_numpy(loss.classifier)] if "classifier" in layers else None
    decays = {True: [], False: []}
    for key, value in layers.named_parameters():
        decays[not key.endswith("bias") and "LayerNorm" not in key].append(value)
    groups = [{"params": decays[decay], "weight_decay": 0.01 * decay} for decay in (True, False)]
    rate = optimizers.schedule(OPTIMIZER, STEPS)
    optimizer = torch.optim.AdamW(groups, lr=1.0, eps=OPTIMIZER.eps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(rate(step)))
    found = []
    for step in range(STEPS):
        values = batch(step, SIDES[:count])
        features = [model.preprocess(values[side]) for side in SIDES[:count]]
        target = None if labels is None else torch.tensor(values[labels])
        value = loss(features, target.long() if labels == "label" else target)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(layers.parameters(), OPTIMIZER.clip_norm)
        optimizer.step()
        schedule.step()
        found.append(value.item())
    if classifiers is not None:
        classifiers.append(_numpy(loss.classifier))
    trained = folder.parent / f"{folder.name} after {name}"
    model.save(str(trained), create_model_card=False)
    return found, classifiers, load(trained).params


def _numpy(linear):
    weight, bias = (value.detach().numpy().copy() for value in (linear.weight, linear.bias))
    return {"kernel": weight.T, "bias": bias}


def ours(name, embedder, classifier, data, fsdp):
    config, _, _, count = CASES[name]
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    params = dict(embedder.params)
    if classifier is not None:
        params["objective"] = {"classifier": classifier}
    optimizer = optimizers.build(OPTIMIZER, STEPS)
    state = init_state(jax.tree.map(jnp.asarray, params), optimizer, mesh)
    step = make_train_step(objectives.build(config, embedder.config, mesh), optimizer, mesh, state, seed=0)
    found = []
    for number in range(STEPS):
        values = batch(number, SIDES[:count])
        rng = np.random.default_rng(number)
        rows = {"id": np.arange(ROWS, dtype=np.uint32), "weight": np.ones(ROWS, np.float32)}
        rows |= {key: values[key] for key in ("label", "score", "teacher")}
        for side in SIDES[:count]:
            tokens = embedder.tokenizer(values[side], padding="max_length", max_length=24, return_tensors="np")
            rows[side] = {key: tokens[key].astype(np.int32) for key in ("input_ids", "attention_mask")}
            rows[f"{side}_hash"] = rng.integers(0, 2**32, (ROWS, 2)).astype(np.uint32)
        state, metrics = step(state, put_batch(rows, mesh))
        found.append(float(metrics["loss"]))
    return found, jax.device_get(state.params)


def with_gradient(name, params):
    """Without what has a true gradient of zero, where Adam makes steps of rounding: keys' biases, and the last bias
    where only differences of embeddings count.
    """
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    if name == "triplet":
        last = "['encoder']['layers']['output_norm']['bias']"
        leaves[last] = leaves[last][:-1]
    return {path: leaf for path, leaf in leaves.items() if "['key']['bias']" not in path}


def apart(one, other):
    """How far, relative to the norm."""
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Gives the folder of a model that both start from."""

    @functools.cache
    def folder_of(family):
        folder = tmp_path_factory.mktemp("start") / family
        export(model_of(family), folder, verify="jax")
        return folder

    return folder_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family", "data", "fsdp"),
    sampled(
        [
            ("softmax", "bert", 2, 2),
            ("ranking with hard negatives", "bert", 4, 2),
            ("mse", "bert", 1, 1),
        ],
        [
            *(
                (name, "bert", 1, 1)
                for name in ("softmax", "cosine", "triplet", "ranking with hard negatives", "ranking both ways")
            ),
            *(("ranking", family, 1, 1) for family in ("bert", "roberta")),
        ],
    ),
)
def test_twenty_steps_stay_together(name, family, data, fsdp, exported):
    folder = exported(family)
    their_losses, classifiers, trained = theirs(name, family, folder)
    embedder = load(folder)
    our_losses, our_params = ours(name, embedder, classifiers and classifiers[0], data, fsdp)
    np.testing.assert_allclose(our_losses, their_losses, rtol=0, atol=1e-4)
    assert np.ptp(their_losses) > 0.05  # they move
    if classifiers is not None:
        own = our_params.pop("objective")["classifier"]
        assert all(apart(own[part], classifiers[1][part]) < 1e-3 for part in ("kernel", "bias"))
    started, wanted = with_gradient(name, embedder.params), with_gradient(name, trained)
    for path, leaf in with_gradient(name, our_params).items():
        assert apart(leaf, wanted[path]) < 1e-3, path
    assert max(apart(wanted[path], started[path]) for path in wanted) > 0.02
