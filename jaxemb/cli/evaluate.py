"""`jaxemb evaluate`: the score of a model on one of the suites."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxemb.errors import UsageError
from jaxemb.evaluation.suite import Command, Flag, Suite
from jaxemb.evaluation.suites import commands


def run(argv: Sequence[str]) -> int:
    """Parses the command line, evaluates, prints a table."""
    offered = commands()
    arguments = _parser(offered).parse_args(argv)
    suite = _suite(offered, arguments)
    from rich.console import Console

    from jaxemb.encoding import Towers
    from jaxemb.evaluation import encode_fns, report_table
    from jaxemb.files import write_atomically
    from jaxemb.loading import load_towers

    towers = load_towers(arguments.model, tower=arguments.tower)
    towers = towers.map(lambda tower: tower.merged().with_prompt(arguments.prompt))
    if arguments.anchor_prompt is not None or arguments.positive_prompt is not None:
        towers = Towers(
            towers.anchor.with_prompt(arguments.anchor_prompt), towers.positive.with_prompt(arguments.positive_prompt)
        )
    encode_fn = encode_fns(towers, batch_size=arguments.batch_size, show_progress=not arguments.quiet)
    report = suite.evaluate(encode_fn)
    title = f"{arguments.model}: {report.table.quantity} ({arguments.suite})"
    Console().print(report_table(report, title))
    if arguments.json is not None:
        write_atomically(arguments.json, json.dumps({"model": arguments.model, **report.values}, indent=1))
    return 0


def _parser(offered: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxemb evaluate",
        description="Score a model. " + "\n".join(dict.fromkeys(suite.about for suite in offered.values())),
        epilog=_epilog(offered),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub "
        "(fetched only with HF_HUB_OFFLINE=0 in the environment)",
    )
    parser.add_argument("--suite", choices=list(offered), required=True)
    parser.add_argument("--data", metavar="DIR", type=Path, nargs="+", required=True, help="the suite's files")
    for flag, suites in _flags(offered):
        parser.add_argument(flag.name, help=f"{', '.join(suites)}: {flag.help}", **flag.settings)
    parser.add_argument(
        "--tower",
        choices=["anchor", "positive"],
        help="with two untied towers: the tower that embeds everything (default: each tower embeds its side; "
        "the anchors' tower embeds English in tatoeba, and the first side elsewhere)",
    )
    parser.add_argument("--prompt", help="text before every input, in place of the model's own (E5: 'query: ')")
    parser.add_argument("--anchor-prompt", help="text before the anchors' inputs only (E5: 'query: ')")
    parser.add_argument("--positive-prompt", help="text before the positives' inputs only (E5: 'passage: ')")
    parser.add_argument("--batch-size", type=int, default=64, help="texts per batch (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the scores to FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _epilog(offered: Mapping[str, Command]) -> str:
    width = max(map(len, offered)) + 2
    indent = "\n" + " " * (2 + width)
    described = [f"  {name:{width}}" + suite.files.replace("\n", indent) for name, suite in offered.items()]
    return "\n".join(["suites:", *described])


def _flags(offered: Mapping[str, Command]) -> list[tuple[Flag, list[str]]]:
    """Each flag of the suites once, with the names of the suites that have it."""
    found: list[tuple[Flag, list[str]]] = []
    for name, suite in offered.items():
        for flag in suite.flags:
            for other, suites in found:
                if other == flag:
                    suites.append(name)
                    break
            else:
                found.append((flag, [name]))
    return found


def _suite(offered: Mapping[str, Command], arguments: argparse.Namespace) -> Suite:
    """The suite that was asked for.

    Raises:
      UsageError: if it has no such flag, or its flags do not fit.
    """
    for flag, suites in _flags(offered):
        if flag.value(arguments) is not None and arguments.suite not in suites:
            which = f"suite {suites[0]} has" if len(suites) == 1 else f"suites {' and '.join(suites)} have"
            raise UsageError(f"{flag.name}: only the {which} {flag.has}")
    return offered[arguments.suite].suite_of(arguments)
