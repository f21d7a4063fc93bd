"""A data report with something in every section, some of it text that a page must escape."""


def report_of_two_sources():
    german = {"read": 1300, "train": 1234, "heldout": 20, "dropped": {"duplicate": 6, "too_long": 40}}
    french = {"read": 100, "train": 100, "heldout": 0, "dropped": {}}
    of_german = {"language": "de", "train": 1234, "heldout": 20, "duplicate": 6, "english_side_held_out": 0}
    of_french = {"language": "fr", "train": 100, "heldout": 0, "duplicate": 0, "english_side_held_out": 0}
    pair = {"languages": ["en", "de"], "label": None, "score": None}
    return {
        "totals": {"read": 1400, "train": 1334, "heldout": 20, "dropped": german["dropped"], "bad_lines": 1},
        "languages": {"de": german, "fr": french},
        "train_hash": "",
        "examples": {
            "duplicate": [{"id": "en-de.tsv:7", "anchor": "'<i>again</i>'", "positive": "'wieder'"}],
            "too_long": [{"id": "en-de.tsv:9", "anchor": "'a…'", "positive": "'b'"}],
        },
        "bad_lines": [{"file": "en-de.tsv", "lines": 9, "bad": 1, "first": "en-de.tsv:7: '<script>'"}],
        "sources": [{"source": "en-de.tsv", "licence": None, "files": 1, "pairs": 1260}],
        "groups": [
            {"source": "en-de.tsv", "anchor_lang": "en", "positive_lang": "de"} | of_german,
            {"source": "<b>fr</b>", "anchor_lang": "en", "positive_lang": "fr"} | of_french,
        ],
        "cut": {"de": {"texts": 200, "cut_texts": 3, "tokens": 2000, "cut_tokens": 50}},
        "lengths": {
            "unit": "tokens",
            "special": 2,
            "max_length": 5,
            "languages": {"de": [0, 1, 0, 8, 1], "en": [0, 0, 5, 0, 0, 4, 1]},
        },
        "padding": [
            {"length_buckets": None, "padding": 0.0312, "shapes": 3, "chosen": True},
            {"length_buckets": [2, 5], "padding": 0.25, "shapes": 2, "chosen": False},
        ],
        "batch_size": 1024,
        "pairs": {
            "of": "train",
            "languages": {
                "de": [pair | {"id": "en-de.tsv:1", "texts": ["<img src=x onerror=alert(1)>", 'Ä "und" & ö', "no"]}],
                "fr": [pair | {"id": "fr:2", "texts": ["one", "un"], "score": 0.5}],
            },
        },
    }
