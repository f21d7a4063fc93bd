"""Runs on data that were prepared before: the numbers of a run that prepares itself, from a folder or behind a URL."""

import contextlib
import http.server
import json
import re
import shutil
import threading

import fsspec
import pytest

import jaxemb
from jaxemb import huggingface
from jaxemb.config import TokenizerConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import gather, train_tokenizer
from jaxemb.data.shards.manifest import Manifest
from jaxemb.errors import UsageError
from jaxemb.reporting.display import Display
from jaxemb.runs.metrics import read_metrics
from jaxemb.training.preparing import prepare_data
from support.runs import losses_of

URL = "memory://bucket/of-runs"


def prepare(values, output):
    config = config_files.validate(TrainConfig, values, "test")
    return prepare_data(config, str(output), Display(quiet=True), workers=1)


@pytest.fixture(scope="module")
def _prepared(_whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    values = {**_whole[0], "data": {**_whole[0]["data"], "cache_dir": str(folder / "cache")}}
    return prepare(values, folder / "out"), folder / "out"


@pytest.fixture
def prepared(_prepared):
    """The folder of the data of `whole`, which the tests only read."""
    return _prepared[1]


@pytest.fixture
def on(whole, tmp_path):
    """Values of a run like `whole` on prepared data; the sources are gone."""

    def values_on(place, name="run", **training):
        values, _ = whole
        data = {**values["data"], "prepared": str(place), "root": str(tmp_path / "gone")}
        return values | {
            "output_dir": str(tmp_path / name),
            "data": data | {"cache_dir": str(tmp_path / "cache")},
            "training": {**values["training"], **training},
            "export": {"enabled": False},
        }

    return values_on


def scores_of(run_dir):
    """All that is logged, but times."""
    lines = read_metrics(run_dir / "metrics.jsonl")
    parts = "time", "second", "waiting", "memory", "padding"
    return [{name: line[name] for name in line if not any(part in name for part in parts)} for line in lines]


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Sends parts of files, too."""

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            super().do_GET()
            return
        with open(self.translate_path(self.path), "rb") as file:
            whole = file.read()
        begin, end = int(asked[1]), min(int(asked[2]) + 1, len(whole))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(whole)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        self.wfile.write(whole[begin:end])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    def handler(*given):
        return _Ranges(*given, directory=str(folder))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_a_folder_it_is_the_run_that_prepares_itself(whole, prepared, on):
    _, itself = whole
    run = jaxemb.train(on(prepared), quiet=True)
    expected = losses_of(itself.run_dir)
    assert len(expected) == 4
    assert losses_of(run.run_dir) == expected
    assert scores_of(run.run_dir) == scores_of(itself.run_dir)
    assert run.heldout == itself.heldout
    reports = [json.loads((one.run_dir / "data_report.json").read_text()) for one in (run, itself)]
    of_texts = {"examples", "pairs", "groups"}  # shards have no texts, and no counts of duplicates by group
    assert {name: reports[0][name] for name in reports[0].keys() - of_texts} == {
        name: reports[1][name] for name in reports[1].keys() - of_texts
    }
    texts = ["one two", "Haus"]
    assert (run.embedder.encode(texts) == itself.embedder.encode(texts)).all()


def test_to_and_from_a_url_and_resumed(whole, prepared, on, tmp_path):
    """Written straight into a bucket; the run ends after two steps, and another machine goes on."""
    values, itself = whole
    values = {**values, "data": {**values["data"], "cache_dir": str(tmp_path / "third")}}
    manifest = prepare(values, URL)
    assert manifest.digest == Manifest.load(str(prepared)).digest == Manifest.load(URL).digest
    names = {path.rsplit("/", 1)[-1] for path in fsspec.filesystem("memory").find("/bucket/of-runs")}
    assert names == {path.name for path in prepared.rglob("*") if path.is_file()}
    assert not list((tmp_path / "third").glob("shards-*"))
    run = jaxemb.train(on(URL, steps=2), quiet=True).run_dir
    shutil.rmtree(tmp_path / "cache")
    jaxemb.train(on(URL), resume=True, quiet=True)
    assert losses_of(run) == losses_of(itself.run_dir)


def test_from_a_server(whole, prepared, on):
    pytest.importorskip("aiohttp")
    with served(prepared) as url:
        run = jaxemb.train(on(url), quiet=True).run_dir
    assert losses_of(run) == losses_of(whole[1].run_dir)


def test_what_does_not_fit_is_refused(whole, prepared, on, tmp_path):
    values, _ = whole
    config = config_files.validate(TrainConfig, values, "test")
    other = train_tokenizer(gather(config.data, 0), TokenizerConfig(vocab_size=90), 16, 0)
    huggingface.save_tokenizer(other, tmp_path / "tokenizer")
    with pytest.raises(UsageError, match=r"out: was prepared with another tokenizer .*run `jaxemb data prepare` again"):
        jaxemb.train(on(prepared) | {"tokenizer": {"path": str(tmp_path / "tokenizer")}}, quiet=True)
    distilled = {"objective": {"kind": "distillation", "teacher": str(tmp_path / "teacher")}}
    with pytest.raises(
        UsageError, match=r"data\.prepared: prepared data have token ids only, .*set data\.prepared to null"
    ):
        jaxemb.train(on(prepared, "distilled") | distilled, quiet=True)
    with pytest.raises(UsageError, match=r"nowhere: is not finished \(no manifest\.json\): .*or correct the path"):
        jaxemb.train(on(tmp_path / "nowhere", "nowhere-run"), quiet=True)
    more = on(prepared, "more")
    more["data"]["sources"] = [*more["data"]["sources"], {"kind": "tsv", "path": "more.tsv"}]
    with pytest.raises(UsageError, match=r"has 1 sources \(tsv\), data\.sources names 2 \(tsv, tsv\)"):
        jaxemb.train(more, quiet=True)
    with pytest.raises(UsageError, match=r"data\.prepared: a preparation reads the sources; set it to null"):
        prepare({**values, "data": {**values["data"], "prepared": str(prepared)}}, tmp_path / "again")
