"""The data of a config in short, on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxemb.reporting.data_page import choice_name

_LANGUAGES = 10


def print_data(report: Mapping[str, Any]) -> None:
    """Prints the sizes of the largest languages, why examples were dropped, and the padding by choice of batches."""
    console = Console(highlight=False, soft_wrap=True)
    languages = sorted(report["languages"].items(), key=lambda item: -item[1]["train"])
    sizes = _table("examples", "language", "read", "train", "held out", "dropped", "duplicates")
    others = f" ({len(languages) - _LANGUAGES} more on the page)" if len(languages) > _LANGUAGES else ""
    for name, one in [("all" + others, report["totals"]), *languages[:_LANGUAGES]]:
        dropped = one["dropped"]
        counts = (one["read"], one["train"], one["heldout"], sum(dropped.values()), dropped.get("duplicate", 0))
        sizes.add_row(escape(name), *(f"{count:,}" for count in counts))
    console.print(sizes)
    if why := report["totals"]["dropped"]:
        reasons = _table("why examples were dropped", "reason", "examples")
        for reason, count in why.items():
            reasons.add_row(escape(reason), f"{count:,}")
        console.print(reasons)
    if "padding" in report:
        padding = _table(f"padding in batches of {report['batch_size']:,}", "data.length_buckets", "padding", "shapes")
        for one in report["padding"]:
            name = choice_name(one["length_buckets"], one["chosen"])
            padding.add_row(name, f"{one['padding']:.1%}", str(one["shapes"]))
        console.print(padding)


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
