"""The command line: `jaxemb COMMAND ...`. One thin file per command; jax is imported only when a command runs."""

import argparse
import contextlib
import importlib
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence

from jaxemb.errors import Stopped, UsageError, UserError
from jaxemb.files import cache_root

COMMANDS = {
    "train": "train an embedder from a config file, evaluate and export it",
    "configs": "list the configs that ship with jaxemb, or print one",
    "data": "prepare the data of a config once, for any number of runs, or look at them",
    "tokenizer": "train a vocabulary on the data of a config",
    "evaluate": "score a model: retrieval on Tatoeba or on aligned files, or STS",
    "encode": "embed the lines of a file",
    "export": "write a run as a Hugging Face / sentence-transformers folder and verify it",
    "push": "export a run, verify it and upload it to the Hugging Face Hub",
    "report": "write a run as one HTML page: scores, curves, data and config",
    "plan": "predict whether a config fits TPUs or GPUs that you do not have here, and how long a step takes",
}
_PEER_GONE = re.compile(r"Gloo|by peer|remote process exited", re.IGNORECASE)
"""Matches what XLA's collectives report when the process on the other side has exited."""
EXIT_CODES = "exit codes: 0 done, 1 failed, 2 usage, 75 stopped and resumable, 130 Ctrl-C"


def _terminate(number: int, frame: object) -> None:
    """Raises SystemExit, so that open resources are closed; exit code 143, as long as there is no run to resume."""
    sys.exit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="jaxemb",
        description="Train sentence embeddings in JAX, from a laptop to a TPU pod, and ship them to Hugging Face.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        + f"\n\n`jaxemb COMMAND --help` shows the options of a command. {EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    arguments = parser.parse_args(argv[:1])
    if arguments.version:
        from jaxemb import __version__

        print(__version__)
        return 0
    if arguments.command is None:
        parser.print_help()
        return 2
    if arguments.command != "push":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no network unless asked for
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # no warning that PyTorch is missing
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # So that a restart or a second run need not compile again.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_root(None) / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run(arguments.command, argv[1:])
    except BaseException as error:
        _leave_others(1, error)
        raise
    if code:
        _leave_others(code)
    return code


def _leave_others(code: int, error: BaseException | None = None) -> None:
    """Exits at once if this is one of several processes: JAX would wait for the others, which should stop too."""
    distributed = sys.modules.get("jaxemb.distributed")
    if distributed is None or not distributed.is_one_of_several():
        return
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else code
    elif error is not None:
        with contextlib.suppress(OSError):  # nobody may read stderr any more: exit nevertheless
            if type(error).__name__ == "JaxRuntimeError" and _PEER_GONE.search(str(error)):
                reason = str(error).splitlines()[0]
                print(f"error: another process has exited; see its own error message ({reason})", file=sys.stderr)
            else:
                traceback.print_exception(error)
    distributed.leave(code)


def _run(command: str, argv: Sequence[str]) -> int:
    """Runs a command and prints its error, if any."""
    try:
        return importlib.import_module(f"jaxemb.cli.{command}").run(argv)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        for number in (signal.SIGINT, signal.SIGTERM):  # another signal would change the exit code
            signal.signal(number, signal.SIG_IGN)
        print(f"{stopped}. Continue with the same command and --resume.", file=sys.stderr, flush=True)
        if stopped.together:
            from jaxemb import distributed

            distributed.disconnect()
        return stopped.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
