"""The Python on the pages of docs/ runs as it stands there, prints what stands there, and writes the figures shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.tiers import sampled

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LARGEST_FIGURE = 30_000  # bytes


def run_page(page: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """In a process and a folder of its own, so that neither devices nor files leak."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    environment |= {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(DOCS / "run_page.py"), str(page), *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize("name", sampled(["losses.md"], ["loss_laboratory.md"]))
def test_a_page_prints_what_it_says(name, tmp_path):
    done = run_page(DOCS / name, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_figures_are_small_and_have_text():
    shown = re.findall(r"\]\((loss_laboratory/[^)]+\.svg)\)", (DOCS / "loss_laboratory.md").read_text(encoding="utf-8"))
    assert {DOCS / name for name in shown} == set((DOCS / "loss_laboratory").iterdir())
    for name in shown:
        figure = (DOCS / name).read_text(encoding="utf-8")
        assert len(figure) < LARGEST_FIGURE, name
        assert "<text" in figure, name


def test_numbers_in_the_prose_are_given_or_printed_on_the_page():
    text = (DOCS / "loss_laboratory.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```(?:python|text)\n(.*?)```", text, re.DOTALL))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    numbers = re.findall(r"\d+\.\d{2,}", prose)
    assert len(numbers) > 20
    assert [number for number in numbers if number not in blocks] == []


PAGE = """
```python
from pathlib import Path

x = 1
```

In between.

```python
print(x + 1)
Path("some.svg").write_text("<svg/>")
```

```text
3
```

![What it looks like](other.svg)
"""


def test_what_is_wrong_on_a_page_is_seen_and_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    (tmp_path / "other.svg").write_text("<svg/>")
    done = run_page(page, tmp_path)
    assert done.returncode == 1
    for line in ("-3", "+2", "shown, but not written: other.svg", "written, but not shown: some.svg"):
        assert line in done.stdout.splitlines()
    assert page.read_text() == PAGE

    page.write_text(PAGE.replace("other.svg", "some.svg").replace("```text\n3\n```\n", ""))
    assert run_page(page, tmp_path).returncode == 1
    assert run_page(page, tmp_path, "--write").returncode == 0
    assert "```text\n2\n```\n" in page.read_text()
    assert (tmp_path / "some.svg").read_text() == "<svg/>"
    assert run_page(page, tmp_path).returncode == 0


def test_an_error_shows_the_line_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("x + 1", "y"))
    done = run_page(page, tmp_path)
    assert done.returncode == 1
    assert 'page.md", line 11' in done.stderr
