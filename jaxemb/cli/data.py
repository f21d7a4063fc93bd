"""`jaxemb data`: prepares the examples of a config once, for any number of runs, and shows what they are."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

PREPARE = """The command reads the sources of `data`, cleans them, drops duplicates, holds pairs out for evaluation,
tokenizes, shuffles, and writes shards. Then set `data.prepared` to that folder or URL in the same config: runs read the
shards, not the sources. An interrupted command goes on where it stopped. Further flags override the config, as in
`jaxemb train`: --data.root gs://bucket/text. Flags behind -- are those of Apache Beam, which then does the
work, on many machines: -- --runner=DataflowRunner ... (pip install 'jaxemb[beam]'). docs/data.md says more."""
INSPECT = """The page shows sizes by source and language, duplicates, what was dropped and why with examples, a
histogram of lengths, the padding for some choices of `data.length_buckets`, and random pairs of each language. It is
one file that needs no network. What is read and tokenized stays in the cache for a run. Lengths in tokens and padding
need a tokenizer: `tokenizer.path` or `model.init_from`. Further flags override the config, as in `jaxemb train`: to see
the padding of prepared data, give the config and --data.prepared gs://bucket/data."""


def run(argv: Sequence[str]) -> int:
    """Parses the command line, and prepares the data or looks at them."""
    parser = argparse.ArgumentParser(
        prog="jaxemb data",
        description="Prepare the training data of a config once, for any number of runs, or look at them.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, does, epilog in (
        ("prepare", "clean, tokenize, shuffle and write as shards", PREPARE),
        ("inspect", "write one HTML page about the data", INSPECT),
    ):
        action = actions.add_parser(
            name,
            help=does,
            description=f"{does[0].upper()}{does[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name == "prepare":
            _add_of_prepare(action)
        else:
            _add_of_inspect(action)
        action.add_argument(
            "--workers", metavar="N", type=int, help="number of processes (default: the number of cores)"
        )
        action.add_argument("--quiet", action="store_true", help="print nothing but errors")
    own, beam = (list(argv), None) if "--" not in argv else (argv[: argv.index("--")], argv[argv.index("--") + 1 :])
    arguments, flags = parser.parse_known_args(own)
    from jaxemb.errors import UsageError

    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError(f"--workers: {arguments.workers} is not a positive number of processes")
    if arguments.action == "prepare":
        return _prepare(arguments, flags, beam)
    if beam is not None:
        raise UsageError("--: Apache Beam prepares data; jaxemb data inspect takes no flags for it")
    return _inspect(arguments, flags)


def _add_of_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        required=True,
        help="the config of a run, or the name of a shipped config",
    )
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="a new folder, or a URL such as gs://bucket/data"
    )


def _add_of_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        help="the config of a run, the name of a shipped config, or a folder or URL of prepared data",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, default=Path("data.html"), help="the page (default: data.html)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers and texts to this file")


def _prepare(arguments: argparse.Namespace, flags: Sequence[str], beam: Sequence[str] | None) -> int:
    from jaxemb.config import files as config_files
    from jaxemb.reporting.display import Display
    from jaxemb.training.preparing import prepare_data

    config = config_files.load_config(arguments.config, flags, "jaxemb data prepare")
    manifest = prepare_data(config, arguments.output, Display(arguments.quiet), arguments.workers, beam)
    if not arguments.quiet:
        shards = f"{len(manifest.shards)} shard{'s' * (len(manifest.shards) != 1)}"
        print(f"{manifest.examples:,} examples in {shards}; set data.prepared to {arguments.output}")
    return 0


def _inspect(arguments: argparse.Namespace, flags: Sequence[str]) -> int:
    from jaxemb.config import files as config_files
    from jaxemb.errors import UsageError
    from jaxemb.files import write_atomically
    from jaxemb.reporting.data_page import data_page
    from jaxemb.reporting.data_summary import print_data
    from jaxemb.reporting.display import Display
    from jaxemb.training.inspecting import inspect_config, inspect_prepared

    if "://" in arguments.data or Path(arguments.data).is_dir():
        if flags:
            raise UsageError(f"{flags[0]}: changes a config, but {arguments.data} is prepared data; give a config")
        report = inspect_prepared(arguments.data)
    else:
        config = config_files.load_config(Path(arguments.data), flags, "jaxemb data inspect")
        report = inspect_config(config, Display(arguments.quiet), arguments.workers)
    page = data_page(arguments.data, report)
    write_atomically(arguments.output, page)
    if arguments.json:
        write_atomically(arguments.json, json.dumps(report, indent=1, ensure_ascii=False))
    if not arguments.quiet:
        print_data(report)
        print(f"{arguments.output}: {len(page) / 1e6:.1f} MB, open it in a browser")
    return 0
