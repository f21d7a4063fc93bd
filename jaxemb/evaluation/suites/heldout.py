"""Retrieval on the held-out split: pools of masked pairs a language, their accuracy, macro averages by script."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxemb.config import EvaluationConfig
from jaxemb.evaluation.baselines import score_pools_tfidf
from jaxemb.evaluation.masking import brand_names, has_letters, mask_pair, mask_placeholders
from jaxemb.evaluation.pools import EncodeFns, Pool, score_pools
from jaxemb.evaluation.report import LogEntry, PageSection, Report
from jaxemb.evaluation.retrieval_report import PairAccuracy, RetrievalReport, macro_average, report_from_json
from jaxemb.evaluation.scripts import majority_script
from jaxemb.evaluation.suite import Entry, InRuns

LATIN = "Latin"
_SMALLEST_POOL = 2


@runtime_checkable
class TranslationPair(Protocol):
    """A sentence and its translation, such as `jaxemb.data.pairs.records.Record`."""

    @property
    def anchor(self) -> str:
        """The sentence, in English."""

    @property
    def positive(self) -> str:
        """Its translation."""


def evaluate_heldout(
    encode_fn: EncodeFns, heldout: Mapping[str, Sequence[TranslationPair]], config: EvaluationConfig
) -> RetrievalReport:
    """Accuracy in both directions for each language of the held-out split, with macro averages.

    The averages are over all languages, those of Latin script, and those of other scripts. For several systems on one
    split build the pools once: `heldout_report(score_pools(encode_fn, pools))`.

    Args:
      encode_fn: texts to embeddings; called once with all distinct texts. Of two functions the first gets the anchors.
      heldout: pairs by language.
      config: size of the pools, and whether placeholders and brand names are masked.
    """
    pools = build_pools(heldout, config)
    return heldout_report(
        score_pools(encode_fn, pools), left_out=sorted(heldout.keys() - {pool.name for pool in pools})
    )


def build_pools(heldout: Mapping[str, Sequence[TranslationPair]], config: EvaluationConfig) -> list[Pool]:
    """The pool of each language, sorted by language; languages with fewer than two usable pairs are left out.

    A pair is usable if, after masking, both sides have letters and differ, and neither equals (but for case) that of a
    pair already in the pool: a pool with two equal texts has no right answer. Pairs are taken in the order of a hash of
    their texts, so a pool depends on nothing but the pairs themselves, and not on the other languages' pairs save for
    the brand names, which are derived from all.
    """
    brands: frozenset[str] = frozenset()
    if config.mask_placeholders:
        brands = brand_names((pair.anchor, pair.positive) for pairs in heldout.values() for pair in pairs)
    pools = [_pool(language, heldout[language], config, brands) for language in sorted(heldout)]
    return [pool for pool in pools if pool is not None]


def heldout_report(scored: Sequence[PairAccuracy], *, left_out: Sequence[str] = ()) -> RetrievalReport:
    """The report over scored pools: all languages, those of Latin script, those of other scripts."""
    latin = [pair for pair in scored if pair.script == LATIN]
    other = [pair for pair in scored if pair.script != LATIN]
    averages = [
        *macro_average("all", scored),
        *macro_average("Latin script", latin),
        *macro_average("other scripts", other),
    ]
    notes = (f"left out, with fewer than {_SMALLEST_POOL} usable pairs: {', '.join(left_out)}",) if left_out else ()
    return RetrievalReport("heldout", ("en->xx", "xx->en"), tuple(scored), tuple(averages), notes)


def _pool(
    language: str, pairs: Sequence[TranslationPair], config: EvaluationConfig, brands: frozenset[str]
) -> Pool | None:
    """Up to `config.pool_size` usable pairs of a language."""
    script = majority_script(mask_placeholders(pair.positive) for pair in pairs)
    anchors: dict[str, str] = {}
    positives: dict[str, str] = {}
    for pair in sorted(pairs, key=_order):
        if len(anchors) == config.pool_size:
            break
        anchor, positive = pair.anchor, pair.positive
        if config.mask_placeholders:
            anchor, positive = mask_pair(anchor, positive, brands=brands, latin=script == LATIN)
        keys = anchor.casefold(), positive.casefold()
        usable = has_letters(anchor) and has_letters(positive) and keys[0] != keys[1]
        if usable and keys[0] not in anchors and keys[1] not in positives:
            anchors[keys[0]], positives[keys[1]] = anchor, positive
    if len(anchors) < _SMALLEST_POOL:
        return None
    return Pool(language, tuple(anchors.values()), tuple(positives.values()), script)


def _order(pair: TranslationPair) -> bytes:
    return hashlib.blake2b(f"{pair.anchor}\0{pair.positive}".encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Heldout:
    """The suite on pools of the held-out split, as from `build_pools`."""

    pools: Sequence[Pool]
    left_out: Sequence[str]
    """Languages without a pool."""

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `evaluate_heldout`."""
        return _report(heldout_report(score_pools(encode_fn, self.pools), left_out=self.left_out))

    def baseline(self) -> Report:
        """As `score_pools_tfidf`."""
        return _report(heldout_report(score_pools_tfidf(self.pools), left_out=self.left_out))


def _report(found: RetrievalReport) -> Report:
    """What a run shows, logs and keeps."""
    report, averages = found.report(), found.averages
    assert report.comparison is not None
    title = "Held-out retrieval accuracy in percent, macro-averaged over languages"
    return replace(
        report,
        comparison=replace(report.comparison, title=title),
        scores={f"held-out {one.name}": one.mean for one in averages},
        card={f"{one.name} ({one.present})": one.mean for one in averages},
        page=PageSection(
            "Held-out retrieval: accuracy in percent, mean of both directions, of languages",
            {one.name: one.mean for one in averages},
            {pair.name: pair.mean for pair in found.pairs},
            "language",
            "Accuracy in percent",
        ),
        log=LogEntry(
            "held-out retrieval",
            ", ".join(f"{one.name} {one.mean:.1f} %" for one in averages),
            {f"{one.name.replace(' ', '_')}_accuracy": one.mean for one in averages},
        ),
    )


def _card_note(report: Report, config: EvaluationConfig) -> str:
    masked = " Placeholders, numbers and brand names are masked." * config.mask_placeholders
    return (
        "Held-out translation retrieval: top-1 accuracy in percent, mean of both directions, macro-averaged over "
        f"languages. No English side of it was in training.{masked}"
    )


ENTRY = Entry(
    "heldout",
    in_runs=InRuns(
        key="systems", always=True, report_of=lambda values: _report(report_from_json(values)), card_note=_card_note
    ),
    order=0,
)
