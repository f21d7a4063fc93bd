"""The configs that ship with jaxemb, by name."""

from pathlib import Path

import pytest

from jaxemb.config import files as config_files
from jaxemb.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_a_name_is_the_config_that_ships_and_a_file_here_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = config_files.load_config(Path("quickstart"))
    assert named == config_files.load_config(ROOT / "configs" / "quickstart.yaml")
    (tmp_path / "quickstart").mkdir()  # of an earlier run: no config
    assert config_files.load_config(Path("quickstart")) == named
    (tmp_path / "quickstart").rmdir()
    (tmp_path / "quickstart").write_text("data: {sources: [{kind: tsv, path: mine.tsv}]}\ntraining: {steps: 3}\n")
    assert config_files.load_config(Path("quickstart")).training.steps == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("quikstart", "quikstart: neither a file nor a config that ships with jaxemb; did you mean quickstart?"),
        ("zzz", "zzz: neither a file nor a config that ships with jaxemb; `jaxemb configs` lists those that ship"),
        (
            "configs/simcse.yaml",
            "configs/simcse.yaml: no such file; `--config simcse` is the config of that name that ships with jaxemb",
        ),
        ("simcse.yml", "simcse.yml: no such file; `--config simcse` is the config of that name that ships"),
    ],
)
def test_what_is_neither_a_file_nor_a_name(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        config_files.load_config(Path(path))
    assert message in str(error.value)
