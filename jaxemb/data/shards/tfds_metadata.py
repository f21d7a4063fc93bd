"""Description of shards for TensorFlow Datasets: `tfds.builder_from_directory(FOLDER).as_data_source("train")`."""

import json
import os
from typing import Any

import numpy as np

from jaxemb.data.shards.index import shard_name
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.shards.places import place_of

_NAMES = "{SPLIT}-{SHARD_INDEX}.{FILEFORMAT}"  # those of `shard_name`


def write_tfds_metadata(place: str | os.PathLike[str], manifest: Manifest) -> None:
    """Writes `dataset_info.json` and `features.json`; the examples have the order of `Shards`.

    TFDS then gives a dictionary for each example: `hashes` uint64 [T]; `anchor`, `positive`, ... the token ids of each
    text, None if the example lacks this text or the positive is the anchor itself (`hashes` tells which); `label` and
    `score`, None if it lacks them.

    Args:
      place: the folder or URL with the shards.
      manifest: its shards are named by `shard_name`, in order.

    Raises:
      ValueError: if they are not.
      CannotWrite: if the disk is full, for example.
    """
    names = [shard.info.name for shard in manifest.shards]
    if names != [shard_name(number) for number in range(len(names))]:
        raise ValueError("TFDS finds shards only if they are numbered in order, by `shard_name`")
    split = {
        "name": "train",
        "filepathTemplate": _NAMES,
        "numBytes": str(sum(shard.info.bytes for shard in manifest.shards)),
        "shardLengths": [str(shard.info.rows) for shard in manifest.shards],
    }
    about = {
        "name": "jaxemb",
        "version": "1.0.0",
        "description": "Token ids of texts to train sentence embeddings with, prepared by jaxemb.",
        "fileFormat": "array_record",
        "splits": [split],
    }
    where = place_of(place)
    for name, content in (("features.json", _features(manifest).to_json()), ("dataset_info.json", about)):
        where.write(name, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")


def _features(manifest: Manifest) -> Any:
    import tensorflow_datasets as tfds  # takes a second

    text = {"shape": (None,), "dtype": np.dtype(manifest.layout.dtype).type}
    features: dict[str, Any] = {"hashes": tfds.features.Tensor(shape=(None,), dtype=np.uint64, encoding="bytes")}
    features |= {name: tfds.features.Tensor(**text) for name in manifest.layout.names}
    if any(source.label for source in manifest.sources):
        features["label"] = tfds.features.Scalar(dtype=np.int64, optional=True)
    if any(source.score for source in manifest.sources):
        features["score"] = tfds.features.Scalar(dtype=np.float32, optional=True)
    return tfds.features.FeaturesDict(features)
