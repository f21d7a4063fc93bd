"""Runs the Python blocks of a Markdown page in order, in one namespace, and compares their output with the page.

    python docs/run_page.py docs/loss_laboratory.md          # prints the difference; exit code 1 if there is one
    python docs/run_page.py docs/loss_laboratory.md --write  # writes the output and the figures into the page

The output of a block is in a `text` block directly after it. Blocks run in a temporary folder. The SVG files that they
write there must be the ones that the page shows.
"""

import argparse
import contextlib
import difflib
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"!\[[^]]*\]\(([^)]+\.svg)\)")


def run(page: Path) -> str:
    """Runs the page's blocks in the current folder; returns the page's text with their output."""
    text = page.read_text(encoding="utf-8")
    names: dict = {"__name__": "__main__"}
    pieces, end = [], 0
    for block in BLOCK.finditer(text):
        # Empty lines in front give the code its line numbers on the page, so a traceback shows these.
        code = "\n" * text.count("\n", 0, block.start("code")) + block["code"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        output = f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else ""
        pieces += [text[end : block.start()], f"```python\n{block['code']}```\n", output]
        end = block.end()
    return "".join([*pieces, text[end:]])


def main() -> int:
    """Returns the exit code: 0 if the page is right, or was corrected by --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument(
        "--write", action="store_true", help="write the output into the page, and the figures next to it"
    )
    arguments = parser.parse_args()
    page = arguments.page.resolve()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            expected, computed = page.read_text(encoding="utf-8"), run(page)
        finally:
            os.chdir(here)
        written = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.svg")}
        if arguments.write:
            page.write_text(computed, encoding="utf-8")
            for name in written:
                (page.parent / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(folder) / name, page.parent / name)
            expected = computed
    difference = difflib.unified_diff(expected.splitlines(), computed.splitlines(), "the page", "its code", lineterm="")
    wrong = list(difference)
    shown = set(FIGURE.findall(computed))
    wrong += [f"shown, but not written: {name}" for name in sorted(shown - written)]
    wrong += [f"written, but not shown: {name}" for name in sorted(written - shown)]
    wrong += [f"not beside the page: {name}" for name in sorted(shown) if not (page.parent / name).is_file()]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
