"""The examples of a row that has more positives or hard negatives than an example takes."""

import dataclasses
import random
from collections.abc import Sequence

from jaxemb.data.pairs.normalize import text_hash
from jaxemb.data.pairs.records import Record

MOST = 16
"""Examples that are stored of one row. A row of 1,000 negatives gives 16 times as many as an example takes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Alternatives:
    """Examples of one row: each epoch takes one of them (`Layout.starts`)."""

    records: tuple[Record, ...]
    """At least one."""


def alternatives(row: Record, positives: Sequence[str], negatives: Sequence[str], count: int) -> Record | Alternatives:
    """The examples of a row: with each of its positives in turn, and other hard negatives each time.

    The texts are shuffled by a hash of the row's source and id. Example v takes positive v, and negatives v * count to
    (v + 1) * count - 1, each counted round in a circle. So the epochs pass through all texts, if `MOST` examples have
    room for them. Tevatron (`TrainDataset` of retriever/dataset.py) goes through the epochs in the same way.

    Args:
      row: everything else of the row.
      positives: one or more texts.
      negatives: hard negatives to draw from, one or more if `count` is not 0. Those that are a positive of the row are
        left out, unless no other is left.
      count: hard negatives of an example; 0 keeps those of `row`. A row with fewer repeats them: the losses count each
        text once.

    Returns: a single example if there is only one.
    """
    draw = random.Random(text_hash(f"{row.source}\n{row.id}"))
    positives = list(dict.fromkeys(positives))
    wrong = list(dict.fromkeys(negatives))
    wrong = [text for text in wrong if text not in positives] or wrong
    draw.shuffle(positives)
    draw.shuffle(wrong)
    examples = min(MOST, max(len(positives), -(-len(wrong) // count) if count else 1))
    records = tuple(
        dataclasses.replace(
            row,
            positive=positives[example % len(positives)],
            negatives=tuple(wrong[(example * count + place) % len(wrong)] for place in range(count)) or row.negatives,
        )
        for example in range(examples)
    )
    return records[0] if len(records) == 1 else Alternatives(records)


def pairs_of_set(row: Record, texts: Sequence[str]) -> Record | Alternatives | None:
    """Pairs of a set of texts that belong together, such as `{"set": [...]}` of embedding-training-data.

    The texts are shuffled by a hash of the row's source and id. Example v pairs text v with the next one, in a circle,
    so that the epochs pass through all texts, if `MOST` examples have room for them.

    Args:
      row: everything but the texts.
      texts: the set.

    Returns: a single pair if the set has two texts; None if it has fewer.
    """
    texts = list(dict.fromkeys(texts))
    if len(texts) < 2:
        return None
    random.Random(text_hash(f"{row.source}\n{row.id}")).shuffle(texts)
    count = 1 if len(texts) == 2 else min(MOST, len(texts))
    records = tuple(
        dataclasses.replace(row, anchor=texts[example], positive=texts[(example + 1) % len(texts)])
        for example in range(count)
    )
    return records[0] if len(records) == 1 else Alternatives(records)
