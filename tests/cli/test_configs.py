"""`jaxemb configs`."""

from pathlib import Path

from jaxemb.cli import main

ROOT = Path(__file__).parents[2]


def test_the_list_and_a_copy(capsys):
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [path.stem for path in sorted((ROOT / "configs").glob("*.yaml"))]
    assert [line.split()[0] for line in lines] == names
    first = (ROOT / "configs" / "simcse.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert f"  {first.removeprefix('# ')}" in lines[names.index("simcse")]
    assert main(["configs", "simcse"]) == 0
    assert capsys.readouterr().out == (ROOT / "configs" / "simcse.yaml").read_text(encoding="utf-8")
    assert main(["configs", "simsce"]) == 2
    assert capsys.readouterr().err == "error: simsce: no config of this name ships with jaxemb; did you mean simcse?\n"
