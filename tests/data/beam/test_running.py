import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

from data.beam.conftest import word
from jaxemb.config import DataConfig, HoldoutConfig, NearDuplicates, TsvSource
from jaxemb.data.beam import placing
from jaxemb.data.beam.running import prepare_with_beam
from jaxemb.data.gathering import heldout, units
from jaxemb.data.gathering.gather import gather
from jaxemb.data.preparing import local, writing
from jaxemb.data.preparing.local import write_shards
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.shards.manifest import Manifest
from jaxemb.errors import UsageError, UserError
from support.tiers import sampled

TWO_PROCESSES = ("--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture
def beam():
    return pytest.importorskip("apache_beam")


@pytest.fixture
def encoding(tokenizer) -> Encoding:
    return Encoding.of(tokenizer)


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def agree(config: DataConfig, encoding: Encoding, folder: Path, *options: str) -> Manifest:
    """Prepares with both runners, which must write the same files."""
    beside = {"tokenizer/a.json": b"{}"}
    whole = write_shards(gather(config, 3, workers=1), config, encoding, str(folder / "local"), beside)
    found = prepare_with_beam(config, 3, encoding, str(folder / "beam"), options, beside)
    assert found.report == whole.report
    assert found.digest == whole.digest
    assert checksums(folder / "beam") == checksums(folder / "local")
    return found


def test_without_beam_one_message_names_the_extra(config, tmp_path, encoding, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UsageError, match=r"needs Apache Beam: pip install 'jaxemb\[beam\]'"):
        prepare_with_beam(config, 0, encoding, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_both_runners_agree_on_every_kind_of_source(beam, config, tmp_path, encoding, monkeypatch):
    units.parts_of.cache_clear()
    changes = ((units, "UNIT_BYTES", 1), (writing, "LANE_ROWS", 100), (local, "SHARD_ROWS", 30),
               (placing, "SHARD_ROWS", 30), (heldout, "LEAST", 50), (heldout, "CANDIDATES", 4))  # fmt: skip
    for module, name, value in changes:
        monkeypatch.setattr(module, name, value)
    manifest = agree(config, encoding, tmp_path)
    assert manifest.lanes == 4
    assert len(manifest.shards) > 15
    assert manifest.settings["epoch"] < manifest.examples
    assert manifest.settings["largest_labels"] == [None] * 5 + [2]
    assert manifest.report["totals"]["dropped"]["duplicate"] > 100
    assert manifest.report["totals"]["dropped"]["english_side_held_out"] > 0


def test_both_runners_agree_without_a_held_out_set(beam, config, tmp_path, encoding):
    config = config.model_copy(update={"holdout": HoldoutConfig(pairs_per_language=0)})
    assert agree(config, encoding, tmp_path).report["totals"]["heldout"] == 0


@pytest.mark.parametrize(
    ("languages", "options"), sampled([("da,el,pt-pt", ()), ("ug,cy", TWO_PROCESSES)], [("de,fi,hu,tr", ())])
)
def test_both_runners_agree_on_real_pairs(beam, real_data, tmp_path, languages, options):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789äöüßéæø.,:!?'\"-"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = transformers.BertTokenizerFast(vocab={piece: index for index, piece in enumerate(pieces)})
    config = DataConfig(
        root=str(real_data / "bitext"),
        sources=tuple(TsvSource(path=f"en-{name}.tsv.gz") for name in languages.split(",")),
        holdout=HoldoutConfig(pairs_per_language=200),
        cache_dir=str(tmp_path / "cache"),
    )
    manifest = agree(config, Encoding.of(tokenizer), tmp_path, *options)
    assert manifest.examples > 1_000
    assert manifest.report["totals"]["heldout"] > 100


def test_a_url_receives_the_same_files(beam, config, tmp_path, encoding):
    import fsspec

    store = fsspec.filesystem("memory")
    store.store.clear()
    whole = agree(config, encoding, tmp_path)
    found = prepare_with_beam(config, 3, encoding, "memory://beam/here", (), {"tokenizer/a.json": b"{}"})
    assert found.digest == whole.digest
    there = {path: store.cat_file(path) for path in store.find("/beam/here")}
    sums = {path.removeprefix("/beam/here/"): hashlib.sha256(content).hexdigest() for path, content in there.items()}
    assert sums == checksums(tmp_path / "local")
    store.store.clear()


@pytest.mark.parametrize("options", [(), TWO_PROCESSES], ids=["one_process", "two_processes"])
def test_an_error_of_a_step_is_one_message(beam, tmp_path, encoding, options, caplog):
    (tmp_path / "en-de.tsv").write_text("".join(f"{word(n)} a\t{word(n)}\n" for n in range(10)) + "only\n" * 10)
    config = DataConfig(root=str(tmp_path), sources=(TsvSource(path="en-de.tsv"),), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError) as caught:
        prepare_with_beam(config, 0, encoding, str(tmp_path / "out"), options)
    with pytest.raises(UserError) as wanted:
        gather(config, 0, workers=1)
    assert str(caught.value) == str(wanted.value)
    assert options or not caplog.records


def test_nothing_left_is_said_as_on_one_machine(beam, tmp_path, encoding):
    (tmp_path / "en-de.tsv").write_text("same\tsame\n" * 3)
    config = DataConfig(root=str(tmp_path), sources=(TsvSource(path="en-de.tsv"),), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"no pair is left after data\.filters: 3 identical"):
        prepare_with_beam(config, 0, encoding, str(tmp_path / "out"))


def test_near_duplicates_are_refused(beam, config, tmp_path, encoding):
    config = config.model_copy(update={"near_duplicates": NearDuplicates()})
    with pytest.raises(UsageError, match=r"data\.near_duplicates: the Beam runner does not find near duplicates"):
        prepare_with_beam(config, 0, encoding, str(tmp_path / "out"))


def test_a_runner_that_cannot_be_had_is_named(beam, config, tmp_path, encoding):
    with pytest.raises(UsageError, match="the Beam runner: Unexpected pipeline runner: Nonsense"):
        prepare_with_beam(config, 0, encoding, str(tmp_path / "out"), ["--runner=Nonsense"])


def test_workers_do_not_start_jax(beam, config, tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    program = f"""
import json, transformers
from jax._src import xla_bridge
from jaxemb.config import DataConfig
from jaxemb.data.beam.running import prepare_with_beam
from jaxemb.data.preparing.tokens import Encoding
tokenizer = transformers.AutoTokenizer.from_pretrained({str(tmp_path / "tokenizer")!r})
config = DataConfig.model_validate_json({config.model_dump_json()!r})
prepare_with_beam(config, 0, Encoding.of(tokenizer), {str(tmp_path / "out")!r})
assert not xla_bridge._backends
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["report"]["totals"]["train"] > 300
