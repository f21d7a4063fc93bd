"""`jaxemb export`: a run becomes a Hugging Face / sentence-transformers folder."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def run(argv: Sequence[str]) -> int:
    """Parses the command line and exports."""
    parser = argparse.ArgumentParser(
        prog="jaxemb export",
        description="Write MODEL as a folder that SentenceTransformer(OUT) and AutoModel load, reload it and compare.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub "
        "(fetched only with HF_HUB_OFFLINE=0 in the environment)",
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="a folder that does not exist or is empty")
    parser.add_argument(
        "--verify",
        choices=["auto", "jax", "torch"],
        default="auto",
        help="compare through our own loader (jax), and through sentence-transformers too (torch); "
        "auto: torch where it is installed (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    from jaxemb.huggingface import export
    from jaxemb.loading import card_of_run, load

    embedder = load(arguments.model)
    report = export(embedder, arguments.output, card=card_of_run(arguments.model), verify=arguments.verify)
    print(f"{arguments.output}: {report}")
    return 0
