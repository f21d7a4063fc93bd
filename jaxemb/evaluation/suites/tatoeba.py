"""The suite `tatoeba`: the 112-language test set of LASER (Artetxe & Schwenk 2019), as XTREME and LaBSE report it."""

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxemb.errors import UsageError, UserError
from jaxemb.evaluation.pools import EncodeFns, Pool, score_pools
from jaxemb.evaluation.report import Report
from jaxemb.evaluation.retrieval_report import RetrievalReport, macro_average
from jaxemb.evaluation.suite import Command, Entry, Flag
from jaxemb.language_tags import language_tag
from jaxemb.readers.aligned import read_moses

_CODES = {
    # Multilingual Universal Sentence Encoder (Yang et al. 2019).
    "14": "ara cmn deu fra ita jpn kor nld pol por rus spa tha tur",
    # XTREME (Hu et al. 2020).
    "36": """afr ara ben bul cmn deu ell est eus fin fra heb hin hun ind ita jav jpn kat kaz kor mal mar nld pes por rus
        spa swh tam tel tgl tha tur urd vie""",
    # LASER: everything.
    "112": """afr amh ang ara arq arz ast awa aze bel ben ber bos bre bul cat cbk ceb ces cha cmn cor csb cym dan deu
        dsb dtp ell epo est eus fao fin fra fry gla gle glg gsw heb hin hrv hsb hun hye ido ile ina ind isl ita jav jpn
        kab kat kaz khm kor kur kzj lat lfn lit lvs mal mar max mhr mkd mon nds nld nno nob nov oci orv pam pes pms pol
        por ron rus slk slv spa sqi srp swe swg swh tam tat tel tgl tha tuk tur tzl uig ukr urd uzb vie war wuu xho yid
        yue zsm""",
}
GROUPS: dict[str, tuple[str, ...]] = {name: tuple(codes.split()) for name, codes in _CODES.items()}
"""Language groups whose macro averages are published, in ISO 639-3."""

_NAME = re.compile(r"tatoeba\.([A-Za-z_]+)-eng\.(?:\1|eng)")


def tatoeba(encode_fn: EncodeFns, data_dir: Path, languages: Sequence[str] | None = None) -> RetrievalReport:
    """Accuracy per language, xx->eng and eng->xx, and macro averages over the 14, 36 and 112 languages.

    The averages are taken over the languages that were evaluated; the report says how many of the group these are.

    Args:
      encode_fn: texts to embeddings; called once with all distinct texts. Of two functions the first, that of the
        anchors, gets the English ones, as in training.
      data_dir: folder of the files `tatoeba.XXX-eng.XXX` and `tatoeba.XXX-eng.eng`.
      languages: languages (`deu`, `de` or `deu_Latn`) or groups (`14`, `36`, `112`); all that the folder holds when
        None. Of a group, the languages that the folder holds are taken; a language that is named must be there.

    Raises:
      UserError: if the folder, a side or a language is missing, or line counts differ.
    """
    if isinstance(encode_fn, tuple):
        encode_fn = encode_fn[1], encode_fn[0]  # a pool has English second
    scored = score_pools(encode_fn, tatoeba_pools(data_dir, languages))
    averages = [
        average
        for name, group in GROUPS.items()
        for average in macro_average(f"{name} languages", (pair for pair in scored if pair.name in group), len(group))
    ]
    return RetrievalReport("tatoeba", ("xx->eng", "eng->xx"), scored, tuple(averages))


def tatoeba_pools(data_dir: Path, languages: Sequence[str] | None = None) -> list[Pool]:
    """The sentence pairs of each language, xx first; arguments and errors are those of `tatoeba`."""
    present = _present(data_dir)
    pools = []
    for language in present if languages is None else _choose(languages, present, data_dir):
        foreign, english = read_moses(*_files(data_dir, language))
        pools.append(Pool(language, tuple(foreign), tuple(english)))
    return pools


def _files(data_dir: Path, language: str) -> tuple[Path, Path]:
    stem = f"tatoeba.{language}-eng."
    return data_dir / (stem + language), data_dir / (stem + "eng")


def _present(data_dir: Path) -> list[str]:
    """Languages with a file in the folder, sorted."""
    if not data_dir.is_dir():
        raise UserError(
            f"{data_dir}: there is no such folder; it must hold tatoeba.XXX-eng.XXX and tatoeba.XXX-eng.eng"
        )
    present = sorted({match[1] for path in data_dir.iterdir() if (match := _NAME.fullmatch(path.name))})
    if not present:
        raise UserError(
            f"{data_dir}: holds no file named like tatoeba.deu-eng.deu; "
            "the files are in LASER's repository under data/tatoeba/v1"
        )
    return present


def _choose(languages: Sequence[str], present: Sequence[str], data_dir: Path) -> list[str]:
    """The languages that codes and group names stand for, sorted."""
    chosen: set[str] = set()
    for name in languages:
        if name in GROUPS:
            chosen.update(set(GROUPS[name]) & set(present))
            continue
        known = sorted({*GROUPS["112"], *present})
        if code := _code(name, known):
            chosen.add(code)
        else:
            near = difflib.get_close_matches(name, [*known, *GROUPS], n=1, cutoff=0.0)
            raise UserError(
                f"unknown language {name!r}: did you mean {near[0]!r}? Known are the languages of the test set, such "
                f"as deu or de, and the groups {', '.join(GROUPS)}"
            )
    if not chosen:
        raise UserError(f"{data_dir}: holds none of the languages asked for ({', '.join(languages)})")
    return sorted(chosen)


def _code(name: str, known: Sequence[str]) -> str | None:
    """The code in the files' names of a language: `deu` for `de`, `deu` and `deu_Latn`; None if there is none."""
    if name in known:
        return name
    tag = language_tag(name)
    if tag is None:
        return None
    without_script = re.sub("-[A-Z][a-z]{3}$", "", tag)
    tags = {code: language_tag(code) for code in known}
    return next((code for wanted in (tag, without_script) for code in known if tags[code] == wanted), None)


@dataclass(frozen=True)
class Tatoeba:
    """The suite on the files of a folder; the fields are arguments of `tatoeba`."""

    data_dir: Path
    languages: Sequence[str] | None

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `tatoeba`."""
        return tatoeba(encode_fn, self.data_dir, self.languages).report()

    def baseline(self) -> None:
        """There is none."""


_LANGUAGES = Flag(
    "--languages",
    has="languages to choose from",
    help="languages such as deu or de, or groups 14, 36, 112 (default: all)",
    settings={"nargs": "+"},
)


def _suite_of(arguments: argparse.Namespace) -> Tatoeba:
    if len(arguments.data) > 1:
        raise UsageError("--data: the suite tatoeba takes one folder")
    return Tatoeba(arguments.data[0], _LANGUAGES.value(arguments))


ENTRY = Entry(
    "tatoeba",
    Command(
        about="Retrieval: for each sentence, is its translation the nearest one?",
        files="DIR holds tatoeba.XXX-eng.XXX and tatoeba.XXX-eng.eng (LASER's 112-language test set)",
        suite_of=_suite_of,
        flags=(_LANGUAGES,),
    ),
    order=1,
)
