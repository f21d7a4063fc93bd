"""`jaxemb push`: a run is exported, verified and uploaded to the Hugging Face Hub."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jaxemb.cli.export import add_options, write


def run(argv: Sequence[str]) -> int:
    """Parses the command line, exports to a temporary folder and uploads that."""
    parser = argparse.ArgumentParser(
        prog="jaxemb push",
        description="Export MODEL as `jaxemb export` does, and upload it to the Hugging Face Hub once it is verified, "
        "as one commit.",
        epilog="The token is that of huggingface_hub: HF_TOKEN, or what `hf auth login` saved. This command uses the "
        "network; HF_HUB_OFFLINE=1 forbids it.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub",
    )
    parser.add_argument("name", metavar="OWNER/NAME", help="the model on the Hub; made if it does not exist")
    parser.add_argument(
        "--private",
        action="store_true",
        default=None,
        help="make a new repository private (default: as its owner's are, public for most); one that exists stays as "
        "it is",
    )
    parser.add_argument("--revision", metavar="BRANCH", help="branch, made if it does not exist (default: main)")
    parser.add_argument("--commit-message", metavar="TEXT", help='(default: "Export by jaxemb VERSION")')
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
