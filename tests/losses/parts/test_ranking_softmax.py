import itertools

import jax.numpy as jnp
import pytest

from jaxemb.losses.multiple_negatives import multiple_negatives_ranking
from jaxemb.losses.parts.ranking_softmax import DIRECTIONS, RankingForm, ranking
from support.loss_checks import unchecked_shapes
from support.ranking_batches import compare, embeddings

SUBSETS = [
    ("query_to_doc", *rest) for size in range(4) for rest in itertools.combinations(DIRECTIONS[1:], size)
]  # fmt: skip


@pytest.mark.parametrize("hard", [0, 2])
@pytest.mark.parametrize("directions", SUBSETS, ids=lambda names: "+".join(names))
def test_joint_softmax_of_sentence_transformers(directions, hard):
    st_losses = pytest.importorskip("sentence_transformers.losses")
    oracle = st_losses.MultipleNegativesRankingLoss(model=None, scale=10.0, directions=directions)
    compare(
        lambda *arrays: multiple_negatives_ranking(*arrays, scale=10.0, directions=directions),
        lambda columns: oracle.compute_loss_from_embeddings(columns, None),
        embeddings(len(directions), hard),
    )


@pytest.mark.parametrize("partition", ["joint", "per_direction"])
def test_a_direction_that_is_named_twice_counts_once(partition):
    st_losses = pytest.importorskip("sentence_transformers.losses")
    options = {"scale": 10.0, "directions": ("query_to_doc", "doc_to_query", "doc_to_query", "query_to_doc")}
    oracle = st_losses.MultipleNegativesRankingLoss(model=None, partition_mode=partition, **options)
    compare(
        lambda *arrays: multiple_negatives_ranking(*arrays, partition=partition, **options),
        lambda columns: oracle.compute_loss_from_embeddings(columns, None),
        embeddings(3, 1),
    )
    with pytest.raises(ValueError, match="names one of them twice"):
        ranking(RankingForm(options["directions"]))


@pytest.mark.parametrize("hard", [0, 2])
@pytest.mark.parametrize("directions", [("query_to_doc",), ("query_to_doc", "doc_to_query")], ids=len)
def test_softmax_per_direction_of_sentence_transformers(directions, hard):
    st_losses = pytest.importorskip("sentence_transformers.losses")
    options = {"scale": 10.0, "directions": directions}
    oracle = st_losses.MultipleNegativesRankingLoss(model=None, partition_mode="per_direction", **options)
    compare(
        lambda *arrays: multiple_negatives_ranking(*arrays, partition="per_direction", **options),
        lambda columns: oracle.compute_loss_from_embeddings(columns, None),
        embeddings(3, hard),
    )


@pytest.mark.parametrize("mode", ["in_batch_negatives", "hard_negatives", "all_negatives"])
@pytest.mark.parametrize("directions", [("query_to_doc",), DIRECTIONS], ids=len)
def test_hardness_of_sentence_transformers(mode, directions):
    st_losses = pytest.importorskip("sentence_transformers.losses")
    options = {"scale": 10.0, "directions": directions, "hardness_mode": mode}
    oracle = st_losses.MultipleNegativesRankingLoss(model=None, hardness_strength=5.0, **options)
    compare(
        lambda *arrays: multiple_negatives_ranking(*arrays, hardness=5.0, **options),
        lambda columns: oracle.compute_loss_from_embeddings(columns, None),
        embeddings(4, hard=2),
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"directions": ("doc_to_query",)}, "it holds the positive"),
        ({"directions": ("query_to_doc", "doc_to_dog")}, "must be some of query_to_doc"),
        ({"directions": DIRECTIONS, "partition": "per_direction"}, "has no positive"),
        ({"partition": "apart"}, "is not one of joint, per_direction"),
        ({"hardness_mode": "hard"}, "is not one of in_batch_negatives"),
    ],
)
def test_choices_that_do_not_go_are_refused(options, words):
    with unchecked_shapes(), pytest.raises(ValueError, match=words):
        multiple_negatives_ranking(*map(jnp.array, embeddings(16)), **options)
