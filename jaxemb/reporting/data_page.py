"""The data of a run, or of a config, on a page: sizes, what was dropped, lengths, padding and random pairs."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from jaxemb.data.cut import Cut
from jaxemb.reporting.html import Place, Text, details, document, picture, table
from jaxemb.reporting.plots import draw_lengths, has_matplotlib

_FEW = 3
"""So many languages are shown without a click."""
_SIZES = ("read", "train", "held out", "dropped", "duplicates")


def data_page(name: str, report: Mapping[str, Any]) -> str:
    """The page of `jaxemb data inspect`.

    Args:
      name: of the config, or of the prepared data.
      report: as `inspect_config` gives it.
    """
    totals = report["totals"]
    facts = [
        f"{totals['train']:,} examples to train on",
        f"{(many := len(report['languages'])):,} language{'s' * (many != 1)}",
    ]
    facts += [f"{totals['heldout']:,} held out", f"{sum(totals['dropped'].values()):,} dropped"]
    head = f"<h1>{escape(name)}</h1>\n<p>{' · '.join(facts)}</p>"
    return document(f"{name}: data of jaxemb", [head, *data_sections(report, "h2")])


def data_sections(report: Mapping[str, Any], heading: str) -> list[str]:
    """Sections on the data, as HTML; those that the report knows nothing of are left out.

    Args:
      report: the data report.
      heading: the element that headings are: `h2` or `h3`.
    """
    sections = {
        "Sizes": _sizes(report),
        "What was dropped": _dropped(report),
        "Lengths": _lengths(report),
        "Padding": _padding(report),
        "Random pairs": _pairs(report),
    }
    return [f"<{heading}>{name}</{heading}>\n{content}" for name, content in sections.items() if content]


def _sizes(report: Mapping[str, Any]) -> str:
    def row(name: str, one: Mapping[str, Any]) -> list[Any]:
        dropped = one["dropped"]
        return [name, one["read"], one["train"], one["heldout"], sum(dropped.values()), dropped.get("duplicate", 0)]

    languages = [row(name, one) for name, one in report["languages"].items()]
    sources = [[one["source"], one["files"], one["pairs"], one["licence"] or "unknown"] for one in report["sources"]]
    groups = report.get("groups", [])
    names = list(dict.fromkeys(one["source"] for one in groups))
    names_of = {"train": "train", "heldout": "held out", "duplicate": "duplicates", "near_duplicate": "near duplicates"}
    counts = [key for key in names_of if any(key in one for one in groups)]
    if not any(one.get("near_duplicate") for one in groups):
        counts = [key for key in counts if key != "near_duplicate"]
    by_source = [
        [name, *(sum(one[key] for one in groups if one["source"] == name) for key in counts)] for name in names
    ]
    by_group = [
        [one["source"], f"{one['anchor_lang']} – {one['positive_lang']}", *(one[key] for key in counts)]
        for one in groups
    ]
    head = [names_of[key] for key in counts]
    return "\n".join(
        [
            table("Examples", ["", *_SIZES], [row("all", report["totals"])]),
            details("by language", table("Examples", ["", *_SIZES], languages), len(languages) <= _FEW),
            table("Sources", ["source", "files", "examples", "licence"], sources),
            table("Examples of each entry of data.sources", ["", *head], by_source) if groups else "",
            details("by source and languages", table("Examples", ["", "languages", *head], by_group)) if groups else "",
        ]
    )


def _dropped(report: Mapping[str, Any]) -> str:
    why, shown = report["totals"]["dropped"], report.get("examples", {})
    parts = []
    if why:
        parts += [table("Why examples were dropped", ["reason", "examples"], why.items())]
        by_language = [
            [name, *(one["dropped"].get(reason, 0) for reason in why)]
            for name, one in report["languages"].items()
            if one["dropped"]
        ]
        parts += [details("by language and reason", table("Dropped examples", ["", *why], by_language))]
    for reason, some in shown.items():
        rows = [[_unquoted(one["anchor"]), _unquoted(one["positive"]), Place(one["id"])] for one in some]
        parts += [details(f"{reason}: the first {len(rows)}", table("", ["anchor", "positive", "where"], rows))]
    bad = [[Place(one["file"]), one["bad"], Text(one["first"])] for one in report["bad_lines"]]
    parts += [table("Bad lines that were left out", ["file", "lines", "the first"], bad)] if bad else []
    return "\n".join(parts) or "<p>Nothing was dropped.</p>"


def _unquoted(shown: str) -> Text:
    """A text as the report quotes it, without the quotes."""
    return Text(shown[1:-1])


def _lengths(report: Mapping[str, Any]) -> str:
    lengths = report.get("lengths")
    parts = []
    if lengths:
        unit = lengths["unit"]
        counts = {name: np.array(found, np.int64) for name, found in lengths["languages"].items()}
        limit = lengths["max_length"] - lengths["special"] if "max_length" in lengths else None
        whole = np.array(list(map(sum, itertools.zip_longest(*lengths["languages"].values(), fillvalue=0))), np.int64)
        about = f"Texts of the training examples, in {unit}"
        if unit == "tokens":
            about += ", without special tokens and before they are cut."
        else:
            about += ": lengths in tokens and padding need a tokenizer (tokenizer.path or model.init_from)."
        parts += [f"<p>{about}</p>"]
        if has_matplotlib():
            parts += [picture(draw_lengths(whole, unit, limit), f"lengths of texts in {unit}")]
        else:
            parts += ["<p>The histogram is drawn with matplotlib: pip install 'jaxemb[plots]'.</p>"]
        rows = [[name, *_spread(found)] for name, found in {"all": whole, **counts}.items()]
        head = ["language", "texts", "mean", "median", "90 %", "99 %", "longest"]
        parts += [details("by language", table(f"Lengths in {unit}", head, rows), len(counts) <= _FEW)]
    cut = {name: Cut(**counts) for name, counts in report.get("cut", {}).items()}
    if cut:
        rows = [[name, one.texts, f"{one.share:.1%}", f"{one.token_share:.1%}"] for name, one in cut.items()]
        shown = table("Training texts", ["language", "texts", "cut", "tokens cut off"], rows)
        parts += [details("texts that are longer than data.max_length", shown)]
    return "\n".join(parts)


def _spread(counts: np.ndarray) -> list[Any]:
    """Number of texts, mean, median, and so on, of counts by length."""
    below = np.cumsum(counts)
    total = int(below[-1])
    mean = float(counts @ np.arange(len(counts))) / total
    quantiles = [int(np.searchsorted(below, share * total)) for share in (0.5, 0.9, 0.99)]
    return [total, mean, *quantiles, len(counts) - 1]


def _padding(report: Mapping[str, Any]) -> str:
    if "padding_unknown" in report:
        return f"<p>Not known: {escape(report['padding_unknown'])}.</p>"
    if "padding" not in report:
        return ""
    rows = [
        [choice_name(one["length_buckets"], one["chosen"]), f"{one['padding']:.1%}", one["shapes"]]
        for one in report["padding"]
    ]
    head = ["data.length_buckets", "padding", "shapes"]
    caption = f"Share of the tokens that is padding, in batches of {report['batch_size']:,} examples"
    return table(caption, head, rows) + "<p>Each shape is compiled once.</p>"


def choice_name(buckets: Sequence[int] | None, chosen: bool) -> str:
    """What a choice of `data.length_buckets` is called.

    >>> choice_name([16, 32], chosen=False), choice_name(None, chosen=True)
    ('16, 32', 'null (packed): this config')
    """
    name = "null (packed)" if buckets is None else ", ".join(map(str, buckets))
    return f"{name}: this config" if chosen else name


def _pairs(report: Mapping[str, Any]) -> str:
    pairs = report.get("pairs")
    if pairs is None:
        return ""
    training = pairs["of"] == "train"
    if not pairs["languages"]:
        return "<p>Prepared data have the texts of held-out pairs only, and none are held out.</p>"
    about = "Training examples" if training else "Held-out pairs: prepared data have the texts of no others"
    shown = [
        details(f"{language}: {len(some)}", _of_language(some), len(pairs["languages"]) <= _FEW)
        for language, some in pairs["languages"].items()
    ]
    return "\n".join([f"<p>{about}, drawn at random from each language.</p>", *shown])


def _of_language(some: Sequence[Mapping[str, Any]]) -> str:
    texts = max(len(one["texts"]) for one in some)
    extra = [name for name in ("label", "score") if any(one[name] is not None for one in some)]
    negatives = [f"negative {number}" for number in range(1, texts - 1)]
    rows: Iterable[list[Any]] = (
        [
            *map(Text, one["texts"]),
            *[None] * (texts - len(one["texts"])),
            *(one[name] for name in extra),
            Place(one["id"]),
        ]
        for one in some
    )
    return table("", ["anchor", "positive", *negatives, *extra, "where"], rows)
