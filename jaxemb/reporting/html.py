"""Parts of the pages that people open in a browser; all that a page shows is in it."""

import base64
import itertools
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .7rem 0;
  display: block; overflow-x: auto }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap }
th:first-child, td:first-child { text-align: left } caption { text-align: left; color: #888; white-space: nowrap }
img { max-width: 100%; background: white; border-radius: 6px }
pre { overflow-x: auto; background: #8881; padding: 1rem }
summary { cursor: pointer; margin: .7rem 0 } .warning { border-left: 4px solid #c60; padding-left: .8rem }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .3rem } details details { margin-left: 1rem }
th.text { text-align: left }
td.text { text-align: start; white-space: pre-wrap; overflow-wrap: anywhere; min-width: 9rem; max-width: 24rem }
td.place { text-align: left; color: #888; font-size: .85em; max-width: 12rem; overflow-wrap: anywhere;
  white-space: normal; min-width: 6rem } tr { vertical-align: top }
@media (max-width: 40rem) { th, td { padding: .2rem .4rem } td.text { min-width: 8rem } }
"""


class Text(str):
    """A text in a table, which may take several lines and any direction of writing."""


class Place(str):
    """Where something is, such as `en-de.tsv:7`, in small letters."""


def document(title: str, sections: Iterable[str]) -> str:
    """A page: the title, as text, and its sections, as HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(filter(None, sections)) + "\n</body>\n</html>\n"
    )


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; numbers are written with two decimals, counts with commas."""
    rows = list(rows)
    of_text = [any(isinstance(cell, (Text, Place)) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["".join(map(_cell, row)) for row in rows]
    headings = "".join(
        f'<th class="text">{escape(name)}</th>' if is_text else f"<th>{escape(name)}</th>"
        for name, is_text in itertools.zip_longest(head, of_text)
    )
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{headings}</tr>\n{body}\n</table>"


def _cell(value: Any) -> str:
    if isinstance(value, Text):
        return f'<td class="text" dir="auto">{escape(value)}</td>'
    if isinstance(value, Place):
        return f'<td class="place">{escape(value)}</td>'
    if value is None:
        return "<td></td>"
    shown = f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(value)
    return f"<td>{shown}</td>"


def details(summary: str, content: str, opened: bool = False) -> str:
    """HTML that shows when the summary, which is text, is clicked."""
    return f"<details{' open' * opened}><summary>{escape(summary)}</summary>{content}</details>"


def picture(drawn: str, about: str) -> str:
    """A picture in SVG, and what it shows."""
    encoded = base64.b64encode(drawn.encode()).decode()
    return f'<img alt="{escape(about)}" src="data:image/svg+xml;base64,{encoded}">'
