"""What the pipeline has found: its last step writes it as JSON, and the process that started it reads it."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from jaxemb.data.beam.placing import Places
from jaxemb.data.beam.reading import UnitFacts, report_of
from jaxemb.data.beam.shards import WrittenShard
from jaxemb.data.beam.tables import Groups
from jaxemb.data.beam.totals import Totals
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, SIDE_HELD_OUT, TRAIN
from jaxemb.data.gathering.gather import nothing_left, summary_of
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.data.preparing.finishing import Finished
from jaxemb.data.preparing.lengths import Lengths
from jaxemb.data.shards.index import ShardInfo


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that the pipeline has found, but for the shards themselves."""

    groups: Groups
    places: Places
    totals: Totals
    units: Sequence[UnitFacts]
    heldout: Sequence[tuple[int, Record]]
    """Each with its position in the held-out set."""
    starts: Sequence[np.ndarray]
    """The first examples of rows, range by range; empty if each row has one example."""
    shards: Sequence[WrittenShard]

    def to_json(self) -> bytes:
        """What `finished` needs."""
        lengths = Lengths()
        for shard in self.shards:
            lengths.add_all(shard.lengths)
        content = {
            "report": report_of(self.units).state(),
            "groups": self.groups.groups,
            "texts": self.groups.texts,
            "fates": self.totals.fates.tolist(),
            "content": self.totals.content.tolist(),
            "rows": self.totals.rows,
            "largest_labels": list(self.totals.largest_labels.items()),
            "counts": self.places.counts.tolist(),
            "infos": [dataclasses.asdict(s.info) for s in sorted(self.shards, key=lambda shard: shard.number)],
            "lengths": lengths.as_json(),
            "heldout": [dataclasses.asdict(record) for _, record in sorted(self.heldout, key=lambda pair: pair[0])],
            "starts": np.sort(np.concatenate([np.zeros(0, np.int64), *self.starts])).tolist(),
        }
        return json.dumps(content, ensure_ascii=False).encode()


def finished(data: str, content: bytes, sources: int) -> tuple[Finished, dict[int, int]]:
    """What there is to finish, and the number of texts of an example of each source.

    Args:
      data: `gathered_name`.
      content: `Outcome.to_json`.
      sources: number of sources of the config.

    Raises:
      UserError: if there is no training example.
    """
    found = json.loads(content)
    report = Report.of_state(found["report"])
    groups = [tuple(group) for group in found["groups"]]
    if not groups:
        raise nothing_left(report)
    languages = [pair_language(anchor, positive) for _, anchor, positive in groups]
    fates = {
        fate: _by_language(languages, found["fates"][fate]) for fate in (TRAIN, DUPLICATE, HELD_OUT, SIDE_HELD_OUT)
    }
    summary = summary_of(report, fates, np.array(found["content"], np.uint64))
    heldout: dict[str, list[Record]] = {language: [] for language in sorted(languages)}
    for fields in found["heldout"]:
        record = Record(**{**fields, "negatives": tuple(fields["negatives"])})
        heldout[pair_language(record.anchor_lang, record.positive_lang)].append(record)
    done = Finished(
        data=data,
        groups=groups,
        counts=np.array(found["counts"], np.int64),
        infos=[ShardInfo(**info) for info in found["infos"]],
        epoch=found["rows"],
        starts=np.array(found["starts"], np.int64),
        largest_labels=[dict(found["largest_labels"]).get(index) for index in range(sources)],
        heldout=heldout,
        report={**summary, "lengths": found["lengths"]},
    )
    return done, dict(found["texts"])


def _by_language(languages: Sequence[str], counts: Sequence[int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for language, count in zip(languages, counts, strict=True):
        if count:
            found[language] += count
    return found
