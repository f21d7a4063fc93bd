"""Compares Tatoeba scores, averaged over the languages that a run was trained on (seen) and the others (unseen).

    jaxemb evaluate MODEL --suite tatoeba --data DATA/tatoeba --json scores.json         # for each model
    python benchmarks/tatoeba_table.py --data DATA/tatoeba --run RUN NAME=scores.json ...  # adds TF-IDF

The table has macro averages in percent, xx->en / en->xx.
"""

import argparse
import json
from pathlib import Path

from jaxemb.evaluation import report_from_json
from jaxemb.evaluation.baselines import score_pools_tfidf
from jaxemb.evaluation.suites.tatoeba import tatoeba_pools

# Maps the primary subtag of a training language to the ISO 639-3 code in the names of Tatoeba's files.
TATOEBA = dict(
    pair.split(":")
    for pair in """ar:ara be:bel bg:bul ca:cat cs:ces cy:cym da:dan de:deu el:ell eo:epo es:spa et:est eu:eus fa:pes
    fi:fin fr:fra ga:gle gl:glg he:heb hi:hin hr:hrv hu:hun id:ind is:isl it:ita ja:jpn ko:kor lt:lit lv:lvs mn:mon
    nb:nob nl:nld pl:pol pt:por ro:ron ru:rus sk:slk sl:slv sq:sqi sr:srp sv:swe ta:tam th:tha tr:tur ug:uig uk:ukr
    vi:vie zh:cmn""".split()
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Tatoeba test sets")
    parser.add_argument("--run", type=Path, required=True, help="run directory whose languages count as seen")
    parser.add_argument("scores", nargs="+", metavar="NAME=JSON")
    arguments = parser.parse_args()
    data = json.loads((arguments.run / "data_report.json").read_text())
    trained = {name.partition("-")[0] for name, counts in data["languages"].items() if counts["train"]}
    seen = {TATOEBA[name] for name in trained if name in TATOEBA}
    reports = {}
    for item in arguments.scores:
        name, _, path = item.partition("=")
        reports[name] = report_from_json(json.loads(Path(path).read_text()))
    everywhere = set.intersection(*({pair.name for pair in report.pairs} for report in reports.values()))
    pools = tatoeba_pools(arguments.data, sorted(everywhere))
    seen &= everywhere
    systems = {
        "character n-gram TF-IDF": {pair.name: (pair.forward, pair.backward) for pair in score_pools_tfidf(pools)}
    }
    for name, scores in reports.items():
        systems[name] = {pair.name: (pair.forward, pair.backward) for pair in scores.pairs}
    groups = {"seen": seen, "unseen": everywhere - seen}
    head = [f"{name} ({len(group)} languages)" for name, group in groups.items()]
    print("| system | " + " | ".join(head) + " |\n|---|---|---|")
    for name, scores in systems.items():
        cells = []
        for group in groups.values():
            ways = zip(*(scores[language] for language in sorted(group)), strict=True)
            cells.append(" / ".join(f"{sum(way) / len(group):.1f}" for way in ways))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
