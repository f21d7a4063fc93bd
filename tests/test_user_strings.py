"""The list of strings that a user can see (docs/user_strings.py) has every kind of them."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "docs" / "user_strings.py"

SOURCE = '''
"""A docstring of a module is no such string."""
class Part(Settings):
    """Settings of a part."""

    size: int = 1
    """Its size
    in tokens."""

def check(size, way_out="choose another size"):
    """Neither is that of a function."""
    if size < 0:
        hint = f"; {way_out} and try again {size}"
        raise UsageError(f"size: {size!r} is less than 0 " + hint)
    display.headline(f"{size:,} tokens" if size else "no tokens at all")
    parser.add_argument("--size", help="in tokens")
'''


def listed(folder, name, source):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, SCRIPT, "--root", folder], capture_output=True, encoding="utf-8", check=True)
    return done.stdout.splitlines()


def test_messages_output_and_help_are_listed_with_their_lines(tmp_path):
    assert listed(tmp_path, "jaxemb/cli/part.py", SOURCE) == [
        "jaxemb/cli/part.py:10  text  choose another size",
        "jaxemb/cli/part.py:13  text  ; {...} and try again {...}",
        "jaxemb/cli/part.py:14  error  size: {...} is less than 0 {...}",
        "jaxemb/cli/part.py:15  output  no tokens at all",
        "jaxemb/cli/part.py:15  output  {...} tokens",
        "jaxemb/cli/part.py:16  help  --size",
        "jaxemb/cli/part.py:16  help  in tokens",
    ]


def test_docstrings_of_settings_are_help(tmp_path):
    lines = listed(tmp_path, "jaxemb/config/part.py", SOURCE)
    assert lines[:2] == [
        "jaxemb/config/part.py:4  help  Settings of a part.",
        "jaxemb/config/part.py:7  help  Its size in tokens.",
    ]
    assert len(lines) == 9


def test_the_whole_package_is_listed():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, encoding="utf-8", check=True)
    for end in (
        "error  --config FILE is missing; `jaxemb configs` lists configs that ship with jaxemb, "
        "`jaxemb train --help` shows every setting",
        "help  Peak learning rate.",
        "output  tokenizing",
    ):
        assert any(line.endswith(end) for line in done.stdout.splitlines()), end
