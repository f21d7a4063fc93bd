"""A process that imports jaxemb once and prepares data in children, which it kills, interrupts or runs side by side.

    python killed_preparations.py FOLDER kill COUNT SEED      # COUNT times, each in a folder of its own
    python killed_preparations.py FOLDER interrupt COUNT SEED
    python killed_preparations.py FOLDER together             # two at once, with one output and one cache

FOLDER holds config.json. The last line says, as JSON, how the children ended and what is in the outputs. A moment is a
random share of the processor time that a whole preparation takes, so that the load of the machine plays no part.
"""

import hashlib
import json
import os
import random
import resource
import signal
import sys
import traceback
from pathlib import Path

from jaxemb.cli import main as jaxemb
from jaxemb.data.gathering import cleaning, units
from jaxemb.data.preparing import local, writing
from jaxemb.training import preparing  # noqa: F401  imported once, not by each child


def make_many_files() -> None:
    """Makes chunks, units, lanes and shards small."""
    cleaning.CHUNK_ROWS, units.UNIT_BYTES = 60, 1 << 12
    writing.LANE_ROWS, local.SHARD_ROWS = 50, 20


def begin(folder: Path, name: str, moment: float | None = None, ends: bool = True) -> int:
    """Starts a child that prepares FOLDER/name/out; at a moment it ends as by kill -9, or gets Ctrl-C."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        (folder / name).mkdir(exist_ok=True)
        error = os.open(folder / name / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(error, 2)
        signal.signal(signal.SIGPROF, signal.SIG_DFL if ends else lambda *_: signal.raise_signal(signal.SIGINT))
        if moment is not None:
            signal.setitimer(signal.ITIMER_PROF, moment)
        where = ["--output", str(folder / name / "out"), "--data.cache-dir", str(folder / name / "cache")]
        config = ["--config", str(folder / "config.json"), "--quiet", "--workers", "1"]
        code = jaxemb(["data", "prepare", *config, *where])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def end(child: int) -> int:
    """Waits; returns the exit code, or the negative number of the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(folder: Path) -> dict[str, str]:
    """Checksums of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main(given: str, how: str, count: str = "1", seed: str = "0") -> None:
    """See the docstring of this file."""
    folder, draw = Path(given), random.Random(seed)
    assert end(begin(folder, "whole")) == 0, (folder / "whole" / "stderr.txt").read_text()
    whole = contents(folder / "whole" / "out")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    codes, equal = [], []
    for number in range(int(count)):
        name = f"{how}-{number}"
        if how == "together":
            codes = [end(child) for child in [begin(folder, name), begin(folder, name)]]
        else:
            moment = draw.uniform(0.02, 0.7) * (used.ru_utime + used.ru_stime)
            codes.append(end(begin(folder, name, moment, ends=how == "kill")))
            if codes[-1]:
                assert end(begin(folder, name)) == 0, (folder / name / "stderr.txt").read_text()
        equal.append(contents(folder / name / "out") == whole)
    print(json.dumps({"codes": codes, "equal": equal, "files": sorted(whole)}))


if __name__ == "__main__":
    make_many_files()
    main(*sys.argv[1:])
