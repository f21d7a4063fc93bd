"""`jaxemb evaluate`: retrieval accuracy of a model, or how its cosines agree with people's judgement."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from jaxemb.config.training import split_language_pair
from jaxemb.errors import UsageError

EPILOG = """suites:
  tatoeba   DIR holds tatoeba.XXX-eng.XXX and tatoeba.XXX-eng.eng (LASER's 112-language test set)
  parallel  DIR is a .tsv (or .gz) file, a folder of them, or of two aligned text files; several paths may follow
  sts       DIR holds folders 2012 ... 2016 of NAME.test.tsv (SemEval: score, sentence, sentence), LANG.test.csv (STSb:
            sentence, sentence, score), SICK_test*.txt, or is such a file; each may be .gz; several paths may follow.
            With --language-pairs the sets are made of the LANG.test.csv: en-de takes sentence 1 from en's file and
            sentence 2 from de's, which must be translated row by row (STSb-multi-mt)"""


def run(argv: Sequence[str]) -> int:
    """Parses the command line, evaluates, prints a table."""
    parser = argparse.ArgumentParser(
        prog="jaxemb evaluate",
        description="Score a model. Retrieval: for each sentence, is its translation the nearest one?\n"
        "STS: how does the cosine of two sentences correlate with how alike people find them?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run directory (RUN, RUN@STEP, RUN@best), Hugging Face directory, or owner/name[@REVISION] of the Hub "
        "(fetched only with HF_HUB_OFFLINE=0 in the environment)",
    )
    parser.add_argument("--suite", choices=["tatoeba", "parallel", "sts"], required=True)
    parser.add_argument("--data", metavar="DIR", type=Path, nargs="+", required=True, help="the suite's files")
    parser.add_argument(
        "--languages", nargs="+", help="tatoeba: codes such as deu, or groups 14, 36, 112 (default: all)"
    )
    parser.add_argument(
        "--split", choices=["train", "dev", "test"], help="sts: which files of a folder are taken (default: test)"
    )
    parser.add_argument(
        "--language-pairs",
        metavar="LANG-LANG",
        nargs="+",
        help="sts: cross-lingual sets, such as en-de, instead of those of one language",
    )
    parser.add_argument(
        "--tower",
        choices=["anchor", "positive"],
        help="of a model with two untied towers, the one that embeds everything (default: each embeds its side, "
        "that of the anchors English in tatoeba and the first side elsewhere)",
    )
    parser.add_argument("--prompt", help="text before every input, in place of the model's own (E5: 'query: ')")
    parser.add_argument("--batch-size", type=int, default=64, help="texts a batch (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the scores to FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments = parser.parse_args(argv)
    if arguments.suite == "tatoeba" and len(arguments.data) > 1:
        raise UsageError("--data: the suite tatoeba takes one folder")
    if arguments.suite != "tatoeba" and arguments.languages:
        raise UsageError("--languages: only the suite tatoeba has languages to choose from")
    if arguments.suite != "sts" and arguments.split:
        raise UsageError("--split: only the suite sts has splits to choose from")
    if arguments.suite != "sts" and arguments.language_pairs:
        raise UsageError("--language-pairs: only the suite sts has pairs of languages")
    try:
        pairs = [split_language_pair("--language-pairs", pair) for pair in arguments.language_pairs or ()]
    except ValueError as error:
        raise UsageError(str(error)) from None
    from rich.console import Console

    from jaxemb.evaluation import (
        RetrievalReport,
        StsReport,
        encode_fns,
        parallel,
        report_table,
        sts,
        sts_table,
        tatoeba,
    )
    from jaxemb.files import write_atomically
    from jaxemb.loading import load_towers

    towers = load_towers(arguments.model, tower=arguments.tower)
    towers = towers.map(lambda tower: tower.merged().with_prompt(arguments.prompt))
    encode_fn = encode_fns(towers, batch_size=arguments.batch_size, show_progress=not arguments.quiet)
    report: RetrievalReport | StsReport
    if arguments.suite == "sts":
        split = arguments.split or "test"
        report = sts(encode_fn, arguments.data, split=split, language_pairs=pairs or None)
    elif arguments.suite == "tatoeba":
        report = tatoeba(encode_fn, arguments.data[0], arguments.languages)
    else:
        report = parallel(encode_fn, arguments.data)
    if isinstance(report, StsReport):
        table = sts_table(report, f"{arguments.model}: correlation of cosine and gold score, x 100 (sts)")
    else:
        table = report_table(report, f"{arguments.model}: retrieval accuracy in percent ({arguments.suite})")
    Console().print(table)
    if arguments.json is not None:
        write_atomically(arguments.json, json.dumps({"model": arguments.model, **report.to_json()}, indent=1))
    return 0
