"""What the model card tells of a run, out of its directory."""

import json

from jaxemb.reporting.model_card import card_of
from support.untrained import run_without_training


def test_data_command_and_no_path_of_this_machine(tmp_path):
    run = run_without_training(tmp_path)
    told = {
        "totals": {"train": 1234, "heldout": 20},
        "languages": {"pt-BR": {}, "de": {}},
        "sources": [
            {"source": "Django", "licence": "BSD-3-Clause", "pairs": 1000},
            {"source": "en-de.tsv", "licence": None, "pairs": 234},
        ],
    }
    run.data_report.write_text(json.dumps(told))
    config = run.load_config()
    data = config.data.model_copy(update={"root": "/home/somebody/corpora", "cache_dir": "/scratch"})
    run.save_config(config.model_copy(update={"data": data, "output_dir": str(run.path)}), "mine.objective")
    card = card_of(run.path, step=20)
    assert card.title == "a <b> run"
    assert card.languages == ("de", "en", "pt-BR")
    assert [(source.name, source.licence, source.pairs) for source in card.data] == [
        ("Django", "BSD-3-Clause", 1000),
        ("en-de.tsv", "", 234),
    ]
    assert card.data_note == "After exact de-duplication: 1,234 examples to train on, 20 held out."
    assert card.command_note == "20 steps of 1024 examples."
    assert "mine.objective" in card.config
    for absent in ("somebody", "/scratch", str(tmp_path)):
        assert absent not in card.config
    assert (card.scores, card.scores_note) == ((), ""), "nothing was scored"
