import gzip
import subprocess
import sys

import pytest

from jaxemb.config import DataConfig, FilterConfig, HoldoutConfig, JsonlSource, TextSource, TsvSource
from jaxemb.data.gathering import cleaning, units
from jaxemb.data.gathering.cleaning import clean_units
from jaxemb.data.gathering.units import units_of
from jaxemb.errors import UserError


@pytest.fixture
def config(tmp_path) -> DataConfig:
    """Files of three kinds with bad lines, empty ones, and rows with several examples."""
    for language in ("de", "fr", "it"):
        lines = [f"text {language} {'x' * n}\t{language} {'y' * n}" for n in range(1, 60)]
        (tmp_path / f"en-{language}.tsv").write_text("\n".join([*lines, "no tab", "\tempty", ""]))
    (tmp_path / "en.txt").write_text("".join(f"a sentence with {number} words\n" for number in range(70)))
    rows = (f'{{"q": "query {"z" * n}", "p": ["one {n}", "two {n}", "three {n}"]}}\n' for n in range(1, 40))
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    sources = (
        TsvSource(path="en-*.tsv"),
        TextSource(path="en.txt", language="en"),
        JsonlSource(path="rows.jsonl", anchor_key="q", positive_key="p"),
    )
    return DataConfig(
        root=str(tmp_path), sources=sources, filters=FilterConfig(max_bad_line_share=0.05),
        holdout=HoldoutConfig(pairs_per_language=0),
    )  # fmt: skip


def rows_of(cleaned):
    """All rows of all chunks, in the order of the sources."""
    keep = ("part", "row", "variant", "anchor", "positive", "order", "check", "id")
    rows = [
        (chunk.source, *(values[name] for name in keep))
        for chunk in cleaned.chunks
        for values in chunk.table.to_pylist()
    ]
    return sorted(rows)


def test_the_size_of_chunks_and_units_does_not_matter(config, tmp_path, monkeypatch):
    whole = clean_units(units_of(config), config, tmp_path / "whole", workers=1)
    assert len(whole.chunks) == 3
    assert len(rows_of(whole)) == 3 * 59 + 70 + 3 * 39
    counted = whole.report.as_json({}, {})
    assert counted["totals"]["dropped"] == {"empty": 3}
    assert counted["totals"]["bad_lines"] == 3
    assert [source["pairs"] for source in counted["sources"]] == [177, 70, 117]
    units.parts_of.cache_clear()
    monkeypatch.setattr(cleaning, "CHUNK_ROWS", 50)
    monkeypatch.setattr(units, "UNIT_BYTES", 1)
    small = clean_units(units_of(config), config, tmp_path / "small", workers=1)
    assert len(small.chunks) > 8
    assert rows_of(small) == rows_of(whole)
    assert small.report.as_json({}, {}) == counted
    rows = [
        tuple(chunk.column(name).tolist() for name in ("part", "row")) for chunk in small.chunks if chunk.source == 2
    ]
    assert not set(zip(*rows[0], strict=True)) & set(zip(*rows[1], strict=True))  # the examples of a row stay together


def test_what_is_there_is_not_read_again(config, tmp_path, monkeypatch):
    first = clean_units(units_of(config), config, tmp_path / "rows", workers=1)
    read = []
    monkeypatch.setattr(cleaning, "read_unit", lambda unit, *rest: read.append(unit) or units.read_unit(unit, *rest))
    again = clean_units(units_of(config), config, tmp_path / "rows", workers=1)
    assert read == []
    assert again.report.as_json({}, {}) == first.report.as_json({}, {})
    (tmp_path / "new.txt").write_text("another sentence\n")
    more = config.model_copy(update={"sources": (*config.sources, TextSource(path="new.txt", language="en"))})
    clean_units(units_of(more), more, tmp_path / "rows", workers=1)
    assert [unit.source for unit in read] == [3]
    read.clear()
    stricter = config.model_copy(update={"filters": FilterConfig(min_chars=5, max_bad_line_share=0.05)})
    clean_units(units_of(stricter), stricter, tmp_path / "rows", workers=1)
    assert len(read) == 3


def test_a_stopped_unit_goes_on_with_the_chunks_that_are_there(config, tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning, "CHUNK_ROWS", 50)
    wanted = clean_units(units_of(config), config, tmp_path / "whole", workers=1)
    written = []
    write = cleaning.write_chunk

    def stop_at_the_third(path, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *rest)

    monkeypatch.setattr(cleaning, "write_chunk", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        clean_units(units_of(config), config, tmp_path / "rows", workers=1)
    monkeypatch.setattr(cleaning, "write_chunk", lambda path, *rest: written.append(path) or write(path, *rest))
    found = clean_units(units_of(config), config, tmp_path / "rows", workers=1)
    assert len(written) == len(set(written)) == len(wanted.chunks)
    assert rows_of(found) == rows_of(wanted)
    assert found.report.as_json({}, {}) == wanted.report.as_json({}, {})


def test_a_damaged_source_is_named_by_another_process(config, tmp_path, monkeypatch):
    (tmp_path / "en-nl.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 1000)[:-9])
    config = config.model_copy(update={"sources": (TsvSource(path="en-*.tsv*"),)})
    monkeypatch.setattr(cleaning, "SMALL", 0)
    with pytest.raises(UserError, match=r"en-nl\.tsv\.gz: the gzip file is truncated"):
        clean_units(units_of(config), config, tmp_path / "rows", workers=2)


def test_a_script_needs_no_guard(config, tmp_path):
    """Other processes do not run the script again, and clean the same rows."""
    script = f"""
import sys
print("once")
from jaxemb.config import DataConfig
from jaxemb.data.gathering import cleaning, units
cleaning.SMALL = 0
config = DataConfig.model_validate_json({config.model_dump_json()!r})
cleaned = cleaning.clean_units(units.units_of(config), config, cleaning.Path({str(tmp_path / "rows")!r}), workers=2)
orders = sum(int(chunk.column("order").sum(dtype="u8")) for chunk in cleaned.chunks) % 2**64
print(orders, __file__.endswith("script.py"))
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False)
    here = clean_units(units_of(config), config, tmp_path / "here", workers=1)
    orders = sum(int(chunk.column("order").sum(dtype="u8")) for chunk in here.chunks) % 2**64
    assert done.stdout.split() == ["once", str(orders), "True"], done.stderr
