"""mteb's own tasks on tiny data of ours: the scores are those we compute, and those of sentence-transformers."""

import random
import subprocess
import sys
import types
import typing
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from jaxemb.encoding import Towers, encode
from jaxemb.errors import UserError
from jaxemb.evaluation import MtebModel, retrieval_accuracy
from jaxemb.huggingface import export
from support.tiny_models import ENCODERS, tiny_embedder


@pytest.fixture(autouse=True)
def _imported():
    """Not when tests are collected: it takes seconds."""
    pytest.importorskip("mteb")


# mteb's bitext mining copies the torch tensor that a model's `similarity` gives, sentence-transformers' too.
pytestmark = pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning:mteb")

PROMPTS = {"query": "ask: ", "document": "say: "}


def _sentences(seed, n):
    words = random.Random(seed)
    return [" ".join("".join(words.choices("abcdefghij", k=3)) for _ in range(words.randint(1, 5))) for _ in range(n)]


A, B = _sentences(1, 24), _sentences(2, 24)
B[:10] = [f"{text} a" for text in A[:10]]  # some that are alike
GOLD = [random.Random(3).randint(0, 10) / 2 + 2 * (i < 10) for i in range(24)]


def _task(base, kind, main_score, load):
    """An mteb task of type `kind` whose dataset is what `load` gives."""
    from mteb.abstasks.task_metadata import TaskMetadata

    def load_data(self, *args, **kwargs):
        self.dataset, self.data_loaded = load(), True

    metadata = TaskMetadata(
        name=f"Tiny{kind}",
        type=kind,
        description="sentences drawn by chance",
        dataset={"path": "none", "revision": "none"},
        main_score=main_score,
        eval_langs=["eng-Latn"],
        eval_splits=["test"],
        modalities=["text"],
        category="t2t",
    )
    return type(f"Tiny{kind}", (base,), {"metadata": metadata, "load_data": load_data})()


def sts_task():
    import datasets
    from mteb.abstasks import AbsTaskSTS

    columns = {"sentence1": A, "sentence2": B, "score": GOLD}
    return _task(
        AbsTaskSTS,
        "STS",
        "cosine_spearman",
        lambda: datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)}),
    )


def bitext_task():
    import datasets
    from mteb.abstasks import AbsTaskBitextMining

    columns = {"sentence1": A, "sentence2": B}
    return _task(
        AbsTaskBitextMining,
        "BitextMining",
        "accuracy",
        lambda: datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)}),
    )


def retrieval_task():
    import datasets
    from mteb.abstasks import AbsTaskRetrieval

    def load():
        queries, corpus = ([{"id": f"{i}", "text": text} for i, text in enumerate(texts)] for texts in (A, B))
        split = {
            "queries": datasets.Dataset.from_list(queries),
            "corpus": datasets.Dataset.from_list(corpus),
            "relevant_docs": {f"{i}": {f"{i}": 1} for i in range(len(A))},
            "top_ranked": None,
        }
        return {"default": {"test": split}}

    return _task(AbsTaskRetrieval, "Retrieval", "ndcg_at_10", load)


def score(model, task, cache=None):
    """All scores of the one split."""
    import mteb

    result = mteb.evaluate(model, task, cache=cache, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    return scores


def embeddings(embedder, *prompts):
    a, b = (
        encode(embedder.with_prompt(prompt), texts, batch_size=32)
        for prompt, texts in zip(prompts, (A, B), strict=True)
    )
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]


def ndcg(a, b):
    """NDCG@10 where each query has one right document, by the plain definition."""
    cosines = a @ b.T
    ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(1)
    return np.mean(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0))


@pytest.fixture(scope="module")
def embedder():
    return tiny_embedder(pooling="mean", normalize=False, prompt="own: ")


def test_sts_bitext_mining_and_retrieval_are_what_we_compute(embedder):
    model = MtebModel(embedder, prompts=PROMPTS)
    a, b = embeddings(embedder, "own: ", "own: ")  # these tasks know no query and no document
    assert score(model, sts_task())["cosine_spearman"] == pytest.approx(
        stats.spearmanr((a * b).sum(1), GOLD).statistic, abs=1e-4
    )
    found = score(model, bitext_task())
    assert 100 * found["accuracy"] == pytest.approx(retrieval_accuracy(a, b)[0])
    assert 0.2 < found["accuracy"] < 0.9
    found = score(model, retrieval_task())["ndcg_at_10"]
    assert found == pytest.approx(ndcg(*embeddings(embedder, "ask: ", "say: ")), abs=1e-5)
    for other in (("own: ", "own: "), ("say: ", "ask: "), ("", "")):
        assert abs(found - ndcg(*embeddings(embedder, *other))) > 1e-3


def test_of_two_towers_that_of_the_positives_embeds_documents(embedder):
    other = tiny_embedder(1, pooling="mean", normalize=False, prompt="own: ")
    model = MtebModel(Towers(embedder, other))
    queries, documents = embeddings(embedder, "own: ", "own: ")[0], embeddings(other, "own: ", "own: ")[1]
    assert score(model, retrieval_task())["ndcg_at_10"] == pytest.approx(ndcg(queries, documents), abs=1e-5)
    assert score(model, sts_task())["cosine_spearman"] == pytest.approx(
        score(MtebModel(embedder), sts_task())["cosine_spearman"]
    )
    metas = [one.mteb_model_meta for one in (model, MtebModel(Towers(other, embedder)), MtebModel(embedder))]
    assert len({meta.revision for meta in metas}) == 3
    assert metas[0].n_parameters == 2 * metas[2].n_parameters


@pytest.mark.filterwarnings("ignore:Model prompts specified, these will overwrite:UserWarning:mteb")
def test_sentence_transformers_of_the_exported_folder_scores_alike(embedder, tmp_path):
    pytest.importorskip("sentence_transformers")
    plain = embedder.with_prompt("")
    export(plain, tmp_path / "model", verify="jax")
    import mteb

    theirs = mteb.SentenceTransformerEncoderWrapper(str(tmp_path / "model"), device="cpu", model_prompts=PROMPTS)
    ours = MtebModel(plain, prompts=PROMPTS)
    for task, name in (
        (sts_task, "cosine_spearman"), (sts_task, "pearson"), (sts_task, "spearman"), (bitext_task, "f1"),
        (retrieval_task, "ndcg_at_10"), (retrieval_task, "map_at_3"),
    ):  # fmt: skip
        assert score(ours, task())[name] == pytest.approx(score(theirs, task())[name], abs=1e-4), name


@pytest.mark.parametrize(
    ("left_out", "as_query", "as_document", "as_neither"),
    [
        ([], "task query", "task", "task"),
        (["Mine-query"], "task", "task", "task"),
        (["Mine-query", "Mine"], "type", "type document", "type"),
        (["Mine-query", "Mine", "Retrieval-document", "Retrieval"], "query", None, None),
    ],
)
def test_the_most_specific_prompt_counts(embedder, left_out, as_query, as_document, as_neither):
    from mteb.types import PromptType

    prompts = {
        "query": "query", "Retrieval": "type", "Retrieval-document": "type document", "Mine": "task",
        "Mine-query": "task query",
    }  # fmt: skip
    model = MtebModel(embedder, prompts={key: text for key, text in prompts.items() if key not in left_out})
    task = types.SimpleNamespace(name="Mine", type="Retrieval")
    assert model.prompt(task, PromptType.query) == as_query
    assert model.prompt(task, PromptType.document) == as_document
    assert model.prompt(task) == as_neither


def test_the_embeddings(embedder):
    from mteb.models import EncoderProtocol
    from mteb.types import PromptType

    batches = [{"text": A[:5]}, {"text": A[5:]}]
    task = types.SimpleNamespace(name="Mine", type="STS")
    model = MtebModel(embedder, prompts={"query": ""})
    assert isinstance(model, EncoderProtocol)
    rows = model.encode(batches, task_metadata=task, hf_split="test", hf_subset="default", batch_size=32)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, embedder.encode(A, batch_size=16), atol=1e-6)
    bare = model.encode(
        batches, task_metadata=task, hf_split="test", hf_subset="default", prompt_type=PromptType.query, batch_size=32
    )
    np.testing.assert_allclose(bare, embedder.with_prompt("").encode(A, batch_size=32), atol=1e-6)
    assert np.abs(bare - rows).max() > 0.01
    np.testing.assert_allclose(np.diag(model.similarity(rows, bare)), model.similarity_pairwise(rows, bare), atol=1e-6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(model.similarity(rows, rows), unit @ unit.T, atol=1e-6)
    with pytest.raises(UserError, match="precision 'int8' is not supported"):
        model.encode(batches, task_metadata=task, precision="int8")
    with pytest.raises(UserError, match=r"Mine: text\[1\] is None \(NoneType\), not a string"):
        model.encode([{"text": ["a", None]}], task_metadata=task)
    with pytest.raises(UserError, match="Mine: text must be a list of strings, not one string"):
        model.encode([{"text": "abc"}], task_metadata=task)
    with pytest.raises(UserError, match="Mine: its inputs hold image but no text"):
        model.encode([{"image": []}], task_metadata=task)


def test_what_mteb_is_told(embedder):
    meta = MtebModel(embedder, name="we/tiny", revision="7").mteb_model_meta
    assert (meta.name, meta.revision, meta.framework, meta.modalities) == ("we/tiny", "7", ["JAX"], ["text"])
    assert (meta.embed_dim, meta.max_tokens, meta.use_instructions) == (32, 40, True)
    for family in ("bert", "roberta", "mpnet"):  # of 48, 49 and 50 positions, as not all count from 0
        longest = tiny_embedder(encoder=ENCODERS[family], max_seq_length=None)
        assert MtebModel(longest, revision="7").mteb_model_meta.max_tokens == 48
    assert meta.n_parameters == sum(leaf.size for leaf in _leaves(embedder.params))
    assert not MtebModel(embedder.with_prompt("")).mteb_model_meta.use_instructions


def _leaves(tree):
    return [leaf for child in tree.values() for leaf in _leaves(child)] if isinstance(tree, dict) else [tree]


def test_another_model_does_not_get_cached_scores(embedder, tmp_path):
    from mteb.cache import ResultCache

    def files():
        return len(list(tmp_path.rglob("TinySTS.json")))

    cache = ResultCache(tmp_path)
    embedder.tokenizer.backend_tokenizer.no_truncation()
    model = MtebModel(embedder)
    first = score(model, sts_task(), cache)["cosine_pearson"]
    again = MtebModel(embedder)  # encoding has set the truncation, but that makes no other model
    assert again.mteb_model_meta.revision == model.mteb_model_meta.revision
    assert score(again, sts_task(), cache)["cosine_pearson"] == pytest.approx(first, abs=1e-6)
    assert files() == 1
    others = [
        MtebModel(tiny_embedder(7, pooling="mean", normalize=False, prompt="own: ")),
        MtebModel(embedder.with_prompt("other: ")),
        MtebModel(embedder, prompts={"STS": "others: "}),
    ]
    for n, other in enumerate(others, start=2):
        assert abs(score(other, sts_task(), cache)["cosine_pearson"] - first) > 1e-4
        assert files() == n


def test_the_revision_changes_with_what_changes_a_score_alone(embedder):
    def revision(prompts=None, **settings):
        changed = embedder.config.model_copy(update=settings)
        return MtebModel(replace(embedder, config=changed), prompts=prompts).mteb_model_meta.revision

    other_training = embedder.config.encoder.model_copy(update={"hidden_dropout_prob": 0.5, "initializer_range": 0.3})
    same = [
        revision(),
        revision(encoder=other_training),
        revision(init_from="somewhere", init_allow="x", new_head=True),
        revision(remat="full", scan_layers=True),
    ]
    assert len(set(same)) == 1
    assert len(same[0]) == 40
    others = [
        revision(similarity="dot"),  # the embeddings are the same, but their scores are not
        revision(normalize=True),
        revision(prompts={"STS": "a: "}),
        revision(prompts={}),
    ]
    assert len({same[0], *others}) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tiny"}, r"name is 'tiny': mteb wants ORGANIZATION/MODEL, such as 'jaxemb/tiny'"),
        ({"prompts": {"quary": "x"}}, r"no 'quary' \(in 'quary'\); did you mean 'query'"),
        ({"prompts": {"retrieval": "x"}}, r"did you mean 'Retrieval'"),
        ({"prompts": {"Retrieval-passage": "x"}}, r"no 'passage' \(in 'Retrieval-passage'\); did you mean 'document'"),
        ({"prompts": {"sts-query": "x"}}, r"no 'sts' \(in 'sts-query'\); did you mean 'STS'"),
    ],
)
def test_mistakes(embedder, settings, message):
    with pytest.raises(UserError, match=message):
        MtebModel(embedder, **settings)


def test_every_task_of_mteb_can_have_a_prompt(embedder):
    import mteb
    from mteb.abstasks.task_metadata import TaskType

    names = [*(task.metadata.name for task in mteb.get_tasks()), *typing.get_args(TaskType)]
    assert len(names) > 1000
    MtebModel(embedder, prompts={name + end: "x" for name in names for end in ("", "-query", "-document")})


def test_mteb_is_not_imported_and_its_absence_is_told(embedder, monkeypatch):
    code = "import sys, jaxemb.evaluation.mteb; sys.exit('mteb' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(UserError, match=r"mteb is missing or too old .*pip install 'jaxemb\[mteb\]'"):
        MtebModel(embedder)


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_is_the_model_s_own(kind):
    from sentence_transformers.util import SimilarityFunction

    model = MtebModel(tiny_embedder(similarity=kind, truncate_dim=7))
    assert model.mteb_model_meta.similarity_fn_name.value == kind
    assert model.mteb_model_meta.embed_dim == 7
    a, b = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    wanted = SimilarityFunction.to_similarity_fn(kind)(a, b)
    np.testing.assert_allclose(model.similarity(a, b), wanted, atol=1e-5)
    np.testing.assert_allclose(model.similarity_pairwise(a, b), np.diag(wanted), atol=1e-5)
