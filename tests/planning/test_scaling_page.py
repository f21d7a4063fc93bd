"""docs/scaling.md has what the plans' results say."""

import importlib.util
import shutil

from support.plans import ROOT


def test_the_tables_are_those_of_the_results(tmp_path):
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
    scaling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scaling)
    page = tmp_path / "scaling.md"
    shutil.copy(scaling.PAGE, page)
    scaling.write_page(page)
    assert page.read_text(encoding="utf-8") == scaling.PAGE.read_text(encoding="utf-8")
    rows = page.read_text(encoding="utf-8").splitlines()
    for table in scaling.TABLES:
        for row in scaling.plans(table):
            assert any(line.startswith((f"| {row} (", f"| {row} |")) for line in rows), row
