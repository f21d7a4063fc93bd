"""Lists every string of the package that a user can see, so that its English can be read in one go.

    python docs/user_strings.py | grep jaxemb/config  # jaxemb/config/training.py:20  help  Peak learning rate.

Errors, output (prints, headlines and logs) and help (argparse, and the docstrings below the fields of the config) are
found by where they stand in the code. All other strings of two words or more count as text, since a function may hand
one to an error or to the output. `{...}` stands for a value.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

HELP = {"add_argument", "add_parser", "add_argument_group", "ArgumentParser"}
OUTPUT = {"print", "print_exception", "say", "headline", "counting", "progress_bar", "warn", "warning", "info", "write"}
ERROR = re.compile(r"Error$|^(NotTexts|CannotWrite|NotFinite|Stopped|exit)$")
WORD, WORDS = re.compile(r"[^\W\d_]{3}"), re.compile(r"[^\W\d_]{2,}[^\w\s]* [^\W\d_]")


def strings(source: str, *, is_config: bool = False) -> Iterator[tuple[int, str, str]]:
    """Line, kind and text of each string, in the order of the lines."""
    yield from sorted(_strings(ast.parse(source), "text", is_config))


def _strings(node: ast.AST, kind: str, is_config: bool, is_part: bool = False) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Raise):
        kind = "error"
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        kind = "help" if name in HELP else "output" if name in OUTPUT else "error" if ERROR.search(name) else kind
    text = _text(node)
    if text is not None and not is_part:
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
        if (kind in ("help", "output") and WORD.search(text)) or WORDS.search(text):
            yield node.lineno, kind, text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):  # a docstring
            if is_config and isinstance(node, ast.ClassDef) and isinstance(child.value.value, str):
                yield child.lineno, "help", " ".join(child.value.value.split())
        else:
            yield from _strings(child, kind, is_config, is_part=text is not None)


def _text(node: ast.AST) -> str | None:
    """The text of a literal, an f-string or a sum of them; None of anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "{...}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or "{...}") + (right or "{...}")
    return None


def main() -> None:
    """Prints the strings of all modules, in the order of their names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the folder with jaxemb/")
    root = parser.parse_args().root
    for file in sorted(root.glob("jaxemb/**/*.py")):
        name = file.relative_to(root).as_posix()
        for line, kind, text in strings(file.read_text("utf-8"), is_config=name.startswith("jaxemb/config/")):
            print(f"{name}:{line}  {kind}  {text}")


if __name__ == "__main__":
    main()
