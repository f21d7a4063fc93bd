"""`jaxemb export`: a run becomes a Hugging Face / sentence-transformers folder."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxemb.errors import UsageError

if TYPE_CHECKING:
    from jaxemb.huggingface import VerifyReport


def run(argv: Sequence[str]) -> int:
    """Parses the command line and exports."""
    parser = argparse.ArgumentParser(
        prog="jaxemb export",
        description="Write MODEL as a folder that SentenceTransformer and AutoModel can load, and verify it: reload it "
        "and compare its embeddings with MODEL's.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub "
        "(fetched only with HF_HUB_OFFLINE=0 in the environment)",
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="a folder that does not exist or is empty")
    add_options(parser)
    parser.add_argument(
        "--adapter",
        action="store_true",
        help="for a run with model.lora: write only the adapters, in PEFT's format, and the head, not the base model",
    )
    parser.add_argument(
        "--base", help="with --adapter: name to record for the base model (default: the run's model.init_from)"
    )
    arguments = parser.parse_args(argv)
    if arguments.base is not None and not arguments.adapter:
        raise UsageError("--base needs --adapter")
    if arguments.adapter and (arguments.vocabulary or arguments.dtype != "float32"):
        raise UsageError(
            "--vocabulary and --dtype cannot be combined with --adapter: the base model keeps its tokens and its type"
        )
    if arguments.adapter and arguments.target is not None:
        raise UsageError("--target cannot be combined with --adapter: servers read whole models")
    if not arguments.adapter:
        print(f"{arguments.output}: {write(arguments, arguments.output)}")
        return 0
    from jaxemb.encoding.towers import unchosen
    from jaxemb.huggingface import export_adapter
    from jaxemb.loading import load_towers

    towers = load_towers(arguments.model, tower=arguments.tower)
    if not towers.tied:
        raise unchosen(arguments.model)
    out = export_adapter(towers.anchor, arguments.output, base=arguments.base)
    print(f"{out}: the adapters and the head of {arguments.model}")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `export` and `push` share."""
    parser.add_argument(
        "--verify",
        choices=["auto", "jax", "torch"],
        default="auto",
        help="verify with jaxemb's own loader (jax), or with sentence-transformers too (torch); "
        "auto: torch if it is installed (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="type of the weights (default: %(default)s)",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        type=Path,
        nargs="+",
        help="trim the vocabulary to the tokens of these texts (one per line, may be compressed), special tokens and "
        "single characters or bytes: these texts keep their embeddings, other texts may take more tokens",
    )
    parser.add_argument(
        "--target",
        choices=["tei", "vllm"],
        help="server that will serve the folder, text-embeddings-inference or vLLM: refuse a model that it would "
        "misread (without --target, the model card names such servers)",
    )
    parser.add_argument(
        "--tower",
        choices=["anchor", "positive"],
        help="tower to write, if the model has two (default: both, as a sentence-transformers Router)",
    )


def write(arguments: argparse.Namespace, output: Path, *, hub_name: str = "") -> "VerifyReport":
    """Loads `arguments.model` and exports it with the options of `add_options`.

    Args:
      arguments: the parsed command line.
      output: the folder to write.
      hub_name: `owner/name` of the repository, if the folder is for the Hub.
    """
    from jaxemb.encoding import Embedder
    from jaxemb.huggingface import CardInfo, check_served, export, trim_vocabulary, vocabulary_report
    from jaxemb.loading import card_for, load_towers
    from jaxemb.readers.lines import read_good_lines

    towers = load_towers(arguments.model, tower=arguments.tower).map(Embedder.merged)
    if arguments.target is not None:
        check_served(towers.anchor.config, towers.anchor.tokenizer, arguments.target, towers=not towers.tied)
    card = card_for(arguments.model) or CardInfo()
    if hub_name:
        card = replace(card, title=output.name, hub_name=hub_name)
    if arguments.vocabulary:
        texts = [line for path in arguments.vocabulary for line in read_good_lines(path)]
        whole, towers = towers, towers.map(lambda tower: trim_vocabulary(tower, texts))
        kept = vocabulary_report(whole.anchor, towers.anchor)
        print(f"vocabulary: {kept}")
        card = replace(card, vocabulary=kept)
    return export(towers, output, card=card, verify=arguments.verify, dtype=arguments.dtype, target=arguments.target)
