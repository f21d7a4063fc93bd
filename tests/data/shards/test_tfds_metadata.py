"""TensorFlow Datasets reads the shards with its own code, without TensorFlow."""

import dataclasses
import sys

import numpy as np
import pytest

from jaxemb.data.shards.reader import Shards
from jaxemb.data.shards.record import Layout, is_twin
from jaxemb.data.shards.tfds_metadata import write_tfds_metadata
from support.shards import assert_same, prepare, some_examples


@pytest.mark.parametrize(("vocabulary", "dtype"), [(16_000, "uint16"), (501_153, "uint32")])
def test_tfds_gives_the_same_examples_in_the_same_order(tmp_path, vocabulary, dtype):
    import tensorflow_datasets as tfds

    examples = some_examples(150, vocabulary=vocabulary)
    folder = tmp_path / "jaxemb" / "1.0.0"
    manifest = prepare(folder, [[examples[:70], examples[70:80]], [examples[80:]]], Layout(3, dtype))
    write_tfds_metadata(folder, manifest)
    assert_same(Shards.open(folder, tmp_path).examples(np.arange(150)), examples)
    for source in (
        tfds.builder_from_directory(folder).as_data_source("train"),
        tfds.data_source("jaxemb", data_dir=tmp_path, split="train"),
    ):
        assert len(source) == 150
        for theirs, example in zip(source.__getitems__(list(range(150))), examples, strict=True):
            assert theirs["hashes"].dtype == np.uint64
            assert theirs["hashes"].tolist() == example.hashes.tolist()
            for slot, name in enumerate(("anchor", "positive", "negative")):
                if slot >= len(example.ids) or (slot == 1 and is_twin(example)):
                    assert theirs[name] is None
                else:
                    assert theirs[name].dtype == dtype
                    assert theirs[name].tolist() == example.ids[slot].tolist()
            assert theirs["label"] == example.label
            assert theirs["score"] == example.score
    assert "tensorflow" not in sys.modules


def test_features_that_no_source_has_are_left_out(tmp_path):
    import tensorflow_datasets as tfds

    examples = [example for example in some_examples(50) if len(example.ids) < 3]
    plain = [dataclasses.replace(example, label=None, score=None) for example in examples]
    manifest = prepare(tmp_path, [[plain]], Layout(2, "uint16"))
    sources = tuple(dataclasses.replace(source, label=False, score=False) for source in manifest.sources)
    write_tfds_metadata(tmp_path, dataclasses.replace(manifest, sources=sources))
    first = tfds.builder_from_directory(tmp_path).as_data_source("train")[0]
    assert sorted(first) == ["anchor", "hashes", "positive"]


def test_shards_that_tfds_would_not_find_are_refused(tmp_path):
    manifest = prepare(tmp_path, [[some_examples(5), some_examples(5)]])
    first, second = manifest.shards
    info = dataclasses.replace(second.info, name="train-00007.array_record")
    with pytest.raises(ValueError, match="numbered in order"):
        write_tfds_metadata(
            tmp_path, dataclasses.replace(manifest, shards=(first, dataclasses.replace(second, info=info)))
        )
    assert not (tmp_path / "dataset_info.json").exists()
