import numpy as np
import pytest

from jaxemb.config import DataConfig, TextSource, TokenizerConfig
from jaxemb.data import Batches, Part, Sequences, gather, train_tokenizer
from support.batches import stored


@pytest.fixture
def sentences(data_config, tmp_path):
    """Pairs of two languages, and sentences of a third that stand alone."""
    (tmp_path / "fr.txt").write_text("".join(f"le fichier numéro {n} est ouvert\n" for n in range(200)))
    sources = (*data_config.sources, TextSource(path="fr.txt", language="fr"))
    return data_config.model_copy(update={"sources": sources, "length_buckets": None})


@pytest.fixture
def data(sentences):
    gathered = gather(sentences, seed=0)
    return stored(gathered, sentences, train_tokenizer(gathered, TokenizerConfig(vocab_size=300), 32))


@pytest.fixture
def examples(data):
    return data.sources(32).texts_only()


def test_a_sentence_alone_and_a_pair_in_either_order(data, examples):
    sequences = Sequences(examples, data.is_single, max_length=64, seed=0)
    rows = np.arange(len(sequences))
    anchors, positives = examples.read(rows)[0]
    single = data.is_single(rows)
    assert single.sum() == 200
    lengths = sequences.lengths[rows]
    assert (lengths.dtype, lengths.shape) == (np.uint16, (len(rows), 1))
    seen = set()
    for step in range(2):
        (texts,), columns = sequences.read(rows, step)
        assert columns == {}
        for row, text in enumerate(texts):
            anchor, positive = anchors[row].tolist(), positives[row].tolist()
            assert len(text) == lengths[row, 0]
            if single[row]:
                assert text.tolist() == anchor == positive
                continue
            orders = [anchor + positive[1:], positive + anchor[1:]]
            assert text.tolist() in orders
            seen.add((step, orders.index(text.tolist())))
    assert len(seen) == 4
    both = [sequences.read(rows, step)[0][0] for step in (0, 1)]
    far = sequences.read(rows, 10**9)[0][0]
    other = Sequences(examples, data.is_single, max_length=64, seed=1).read(rows, 1)[0][0]
    for one in (both[0], far, other):
        changed = np.mean([len(a) != len(b) or (a != b).any() for a, b in zip(one, both[1], strict=True)])
        assert 0.3 < changed < 0.5  # half of the pairs, which are four fifths
    # Of the example, not of its place in a batch.
    backwards = sequences.read(rows[::-1], 1)[0][0][::-1]
    assert all((a == b).all() for a, b in zip(backwards, both[1], strict=True))


@pytest.mark.parametrize("longest", [6, 9, 12, 15])
def test_what_is_too_long_is_cut_the_longer_first(data, examples, longest):
    sequences = Sequences(examples, data.is_single, max_length=longest, seed=0)
    rows = np.flatnonzero(~data.is_single(np.arange(len(sequences))))
    anchors, positives = examples.read(rows)[0]
    cut = 0
    for text, anchor, positive in zip(sequences.read(rows)[0][0], anchors, positives, strict=True):
        whole = len(anchor) + len(positive) - 1
        assert len(text) == min(whole, longest)
        begin, end = text[0], text[-1]
        assert begin == anchor[0]
        assert end == anchor[-1]
        (between,) = np.flatnonzero(text[1:-1] == end) + 1
        lengths = sorted((between + 1, len(text) - between))  # of the two sentences, each with its tokens
        shorter = min(len(anchor), len(positive))
        assert lengths[0] == min(shorter, (longest + 1) // 2)
        cut += whole > longest
    assert cut or longest > 12


@pytest.mark.parametrize("buckets", [None, (16, 32)])
def test_batches_of_sequences(data, examples, sentences, buckets):
    config = DataConfig(**{**dict(sentences), "length_buckets": buckets, "workers": 0})
    sequences = Sequences(examples, data.is_single, max_length=32, seed=0)
    order = data.order(config, 16, 0)
    whole, *parts = (Batches(sequences, order, config, Part(*process, 2)) for process in ((0, 1), (0, 2), (1, 2)))
    batch = whole.batch(3)
    assert batch.keys() == {"text", "id", "weight"}
    halves = [part.batch(3) for part in parts]
    ids = np.concatenate([half["text"]["input_ids"] for half in halves])
    np.testing.assert_array_equal(ids, batch["text"]["input_ids"])
    assert whole.padding_share(8) < 0.6
