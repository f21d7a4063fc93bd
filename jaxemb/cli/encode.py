"""`jaxemb encode`: a file of texts in, a file of embeddings out."""

import argparse
from collections.abc import Sequence
from pathlib import Path

EPILOG = """INPUT: one text per line; a table between tabs, or a .csv, with --column NUMBER (from 0) or --column NAME
(in the header); or .jsonl with --column KEY; plain or compressed.
OUT: .npy (float32 [N, E]) or .parquet (a column `embedding`). Row N belongs to line N of INPUT, behind a header.
Memory does not grow with the size of INPUT. OUT appears only when it is complete."""


def run(argv: Sequence[str]) -> int:
    """Parses the command line and encodes."""
    parser = argparse.ArgumentParser(
        prog="jaxemb encode",
        description="Embed the lines of a file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub "
        "(fetched only with HF_HUB_OFFLINE=0 in the environment)",
    )
    parser.add_argument(
        "input", metavar="INPUT", type=Path, help="texts: lines, .tsv, .csv or .jsonl, plain or compressed"
    )
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help=".npy or .parquet")
    parser.add_argument("--column", help="column of a table (number, from 0, or name in the header) or key of a .jsonl")
    parser.add_argument(
        "--header", action="store_true", help="the first line of a table names its columns; implied by a column's name"
    )
    parser.add_argument(
        "--tower",
        choices=["anchor", "positive"],
        help="tower to embed with, if the model has two: anchor for queries, positive for documents",
    )
    parser.add_argument("--batch-size", type=int, default=64, help="texts in a batch (default: %(default)s)")
    parser.add_argument("--prompt", help="text to put before every input, instead of the model's own prompt")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments = parser.parse_args(argv)
    from jaxemb.encoding import encode_file
    from jaxemb.loading import load

    rows = encode_file(
        load(arguments.model, tower=arguments.tower).with_prompt(arguments.prompt),
        arguments.input,
        arguments.output,
        column=arguments.column,
        header=arguments.header,
        batch_size=arguments.batch_size,
        show_progress=not arguments.quiet,
    )
    if not arguments.quiet:
        print(f"{rows:,} embeddings written to {arguments.output}")
    return 0
