"""`jaxemb tokenizer train`: trains a vocabulary on the data of a run's config, before the run or for several runs."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

EPILOG = """The vocabulary has `tokenizer.vocab_size` entries. It is trained on a sample of the training examples of
`data`, without the held-out set; `tokenizer.language_exponent` smooths the share of each language in the sample. The
texts are streamed from disk. Further flags override the config, as in `jaxemb train`: --tokenizer.vocab-size 501153.
Set `tokenizer.path: DIR` to use the vocabulary in a run."""


def run(argv: Sequence[str]) -> int:
    """Parses the command line and trains a tokenizer."""
    parser = argparse.ArgumentParser(
        prog="jaxemb tokenizer",
        description="Train a WordPiece vocabulary and write it as a Hugging Face tokenizer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=["train"], help="train a vocabulary")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        required=True,
        help="the config of a run, or the name of a shipped config",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="a folder that does not exist or is empty"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    arguments, flags = parser.parse_known_args(argv)
    from jaxemb.config import files as config_files

    config = config_files.load_config(arguments.config, flags)
    from jaxemb.data import gather, train_tokenizer
    from jaxemb.files import atomic_directory
    from jaxemb.huggingface import save_tokenizer

    began = time.monotonic()

    def say(text: str) -> None:
        if not arguments.quiet:
            print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    with atomic_directory(arguments.output.absolute()) as folder:
        say("gathering and cleaning examples")
        data = gather(config.data, config.training.seed)
        say(f"{data.examples:,} examples in {len(data.languages)} languages")
        tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, config.training.seed)
        save_tokenizer(tokenizer, folder)
    say(f"{len(tokenizer):,} word pieces written to {arguments.output}; set tokenizer.path to use them")
    return 0
