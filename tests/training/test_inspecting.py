"""What `jaxemb data inspect` says of a small corpus, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from jaxemb import huggingface
from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import Encoding, Part, StoredData, cached_shards, gather, train_tokenizer
from jaxemb.reporting.display import Display
from jaxemb.training.inputs import batches_for
from jaxemb.training.inspecting import inspect_config, inspect_prepared
from jaxemb.training.preparing import prepare_data

GERMAN = (
    "red apple\tRoter Apfel\n\tnothing\ngreen pear\tGrüne Birne\nred apple\tRoter Apfel\n"
    "same\tsame\none column\n<b>bold</b> word\tfettes Wort\n"
)
FRENCH = "red apple\tPomme rouge\none two\tUn deux\nred apple\tPomme rouge\n"


def config_of(folder, **data):
    values = {
        "data": {
            "root": str(folder), "cache_dir": str(folder / "cache"), "max_length": 16,
            "sources": [{"kind": "tsv", "path": "en-de.tsv"}, {"kind": "tsv", "path": "en-fr.tsv", "licence": "CC0"}],
            "holdout": {"pairs_per_language": 0}, "filters": {"max_bad_line_share": 0.5}, **data,
        },
        "training": {"steps": 1, "batch_size": 2},
        "tokenizer": {"vocab_size": 60},
    }  # fmt: skip
    return config_files.validate(TrainConfig, values, "test")


@pytest.fixture
def config(tmp_path):
    (tmp_path / "en-de.tsv").write_text(GERMAN)
    (tmp_path / "en-fr.tsv").write_text(FRENCH)
    return config_of(tmp_path)


def at(counts):
    return {length: count for length, count in enumerate(counts) if count}


def test_numbers_of_a_small_corpus(config):
    told = inspect_config(config, Display(quiet=True))
    dropped = {"duplicate": 2, "empty": 1, "identical": 1}
    assert told["totals"] == {"read": 9, "train": 5, "heldout": 0, "dropped": dropped, "bad_lines": 1}
    german, french = told["groups"]
    of_german = {
        "language": "de",
        "train": 3,
        "heldout": 0,
        "duplicate": 1,
        "near_duplicate": 0,
        "english_side_held_out": 0,
    }
    assert german == {"source": "en-de.tsv", "anchor_lang": "en", "positive_lang": "de"} | of_german
    assert (french["source"], french["train"], french["duplicate"]) == ("en-fr.tsv", 2, 1)
    shown = {reason: [one["id"] for one in some] for reason, some in told["examples"].items()}
    assert shown == {
        "duplicate": ["en-de.tsv:4", "en-fr.tsv:3"],
        "empty": ["en-de.tsv:2"],
        "identical": ["en-de.tsv:5"],
    }
    assert told["lengths"]["unit"] == "characters"
    lengths = {language: at(counts) for language, counts in told["lengths"]["languages"].items()}
    assert lengths == {"en": {7: 1, 9: 2, 10: 1, 16: 1}, "de": {11: 3}, "fr": {7: 1, 11: 1}}
    assert "padding" not in told
    assert told["pairs"]["of"] == "train"
    texts = {language: {tuple(one["texts"]) for one in some} for language, some in told["pairs"]["languages"].items()}
    assert texts == {
        "de": {
            ("red apple", "Roter Apfel"),
            ("green pear", "Grüne Birne"),
            ("<b>bold</b> word", "fettes Wort"),
        },
        "fr": {("red apple", "Pomme rouge"), ("one two", "Un deux")},
    }


@pytest.fixture
def larger(tmp_path):
    """64 pairs, 16 to a batch: 64 steps are 16 epochs, each with every pair once. And a tokenizer."""
    lines = [
        f"{'one two three four five six seven eight nine ten'[: 3 + number % 47]} {number}" for number in range(64)
    ]
    (tmp_path / "en-de.tsv").write_text("".join(f"{line}\tübersetzt {line[:20]}\n" for line in lines))
    config = config_of(tmp_path, sources=[{"kind": "tsv", "path": "en-de.tsv"}], max_length=16)
    config = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 16})})
    tokenizer = train_tokenizer(gather(config.data, 0), config.tokenizer, 16, 0)
    huggingface.save_tokenizer(tokenizer, tmp_path / "tokenizer")
    own = config.tokenizer.model_copy(update={"path": str(tmp_path / "tokenizer")})
    return config.model_copy(update={"tokenizer": own})


def test_padding_is_that_of_the_batches(larger):
    told = inspect_config(larger, Display(quiet=True))
    assert told["lengths"]["unit"] == "tokens"
    assert [one["length_buckets"] for one in told["padding"]] == [None, (16,), (4, 8, 12, 16)]
    assert [one["chosen"] for one in told["padding"]] == [True, False, False]
    encoding = Encoding.of(huggingface.load_tokenizer(Path(larger.tokenizer.path)))
    stored = StoredData(cached_shards(gather(larger.data, 0), larger.data, encoding), Path(larger.data.cache_dir))
    for one in told["padding"]:
        data = larger.data.model_copy(update={"length_buckets": one["length_buckets"]})
        batches = batches_for(larger.model_copy(update={"data": data}), stored, None, Part())
        assert one["padding"] == batches.padding_share()
        assert one["shapes"] == len(batches.sizes)
    # By hand, where each text has a row of 16 tokens: those of the histogram, cut and with two special ones.
    counts = [np.array(found) for found in told["lengths"]["languages"].values()]
    tokens = sum(int(found @ (np.minimum(np.arange(len(found)), 14) + 2)) for found in counts)
    assert sum(found.sum() for found in counts) == 128
    assert told["padding"][1]["padding"] == pytest.approx(1 - tokens / (128 * 16), abs=1e-12)
    assert told["lengths"]["max_length"] == 16
    assert told["lengths"]["special"] == 2
    assert told["batch_size"] == 16


def test_fewer_examples_than_a_batch_takes(larger):
    training = larger.training.model_copy(update={"batch_size": 65})
    told = inspect_config(larger.model_copy(update={"training": training}), Display(quiet=True))
    assert "padding" not in told
    assert "65" in told["padding_unknown"]


def test_prepared_data(larger, tmp_path):
    holdout = larger.data.holdout.model_copy(update={"pairs_per_language": 3})
    config = larger.model_copy(update={"data": larger.data.model_copy(update={"holdout": holdout})})
    place = str(tmp_path / "prepared")
    prepare_data(config, place, Display(quiet=True), workers=1)
    told = inspect_prepared(place)
    assert told["totals"]["heldout"] == len(told["pairs"]["languages"]["de"]) == 3
    assert told["pairs"]["of"] == "heldout"
    assert told["lengths"]["unit"] == "tokens"
    assert "padding" not in told
    (group,) = told["groups"]
    assert (group["source"], group["language"], group["train"]) == ("en-de.tsv", "de", told["totals"]["train"])
    of_config = inspect_config(config, Display(quiet=True))
    assert of_config["lengths"]["languages"] == told["lengths"]["languages"]
    data = config.data.model_copy(update={"prepared": place})
    both = inspect_config(config.model_copy(update={"data": data}), Display(quiet=True))
    assert both["padding"] == of_config["padding"]
    assert both["pairs"] == told["pairs"]
