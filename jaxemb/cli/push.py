"""`jaxemb push`: exports a run, verifies it and uploads it to the Hugging Face Hub."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jaxemb.cli.export import add_options, write


def run(argv: Sequence[str]) -> int:
    """Parses the command line, exports to a temporary folder and uploads that."""
    parser = argparse.ArgumentParser(
        prog="jaxemb push",
        description="Export MODEL as `jaxemb export` does, verify it, and upload it to the Hugging Face Hub as one "
        "commit.",
        epilog="The Hub token is the environment variable HF_TOKEN, or the one that `hf auth login` saved. This "
        "command uses the network; HF_HUB_OFFLINE=1 forbids it.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub",
    )
    parser.add_argument("name", metavar="OWNER/NAME", help="the model's repository on the Hub; created if missing")
    parser.add_argument(
        "--private",
        action="store_true",
        default=None,
        help="create the repository as private (default: the owner's default, mostly public); an existing one stays as "
        "it is",
    )
    parser.add_argument("--revision", metavar="BRANCH", help="branch, created if missing (default: main)")
    parser.add_argument(
        "--commit-message", metavar="TEXT", help='message of the commit (default: "Export by jaxemb VERSION")'
    )
    add_options(parser)
    arguments = parser.parse_args(argv)
    from jaxemb.huggingface.upload import check_may_push, push

    check_may_push(arguments.name)
    with tempfile.TemporaryDirectory(prefix="jaxemb-push-") as temporary:
        folder = Path(temporary) / arguments.name.rsplit("/", 1)[1]
        report = write(arguments, folder, hub_name=arguments.name)
        address = push(
            folder,
            arguments.name,
            private=arguments.private,
            revision=arguments.revision,
            commit_message=arguments.commit_message,
        )
    print(f"{address}: {report}")
    return 0
