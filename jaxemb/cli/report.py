"""`jaxemb report`: a run as one HTML page."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def run(argv: Sequence[str]) -> int:
    """Parses the command line and writes the page."""
    parser = argparse.ArgumentParser(
        prog="jaxemb report",
        description="Write one HTML file about a run, in progress or finished: scores, curves, alignment and "
        "uniformity, training data and config. The file is self-contained and needs no network.",
    )
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--output", metavar="FILE", type=Path, help="where to write (default: RUN/report.html)")
    arguments = parser.parse_args(argv)
    from jaxemb.files import write_atomically
    from jaxemb.reporting.page import page_of
    from jaxemb.runs.directory import RunDirectory
    from jaxemb.runs.storage.urls import check_local

    check_local(arguments.run)
    run = RunDirectory(Path(arguments.run))
    output = arguments.output or run.path / "report.html"
    page = page_of(run)
    write_atomically(output, page)
    print(f"{output}: {len(page) / 1e6:.1f} MB, open it in a browser")
    return 0
