"""How many characters the texts of the training examples have."""

import numpy as np
import pyarrow.compute as pc

from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.preparing.lengths import Lengths


def count_characters(corpus: Corpus) -> dict[str, list[int]]:
    """For each language, how many texts of training examples have 0, 1, 2, ... characters."""
    counts = Lengths()
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        table = chunk.table.select(["anchor", "positive", "negatives"]).take(rows).combine_chunks()
        columns = [pc.utf8_length(table[name]).to_numpy() for name in ("anchor", "positive")]
        if chunk.negatives:
            more = pc.utf8_length(pc.list_flatten(table["negatives"])).to_numpy()
            columns += [*more.reshape(len(rows), -1).T]
        lengths, group = np.stack(columns, axis=1), corpus.group_of(index, rows)
        twins = chunk.column("anchor_hash")[rows] == chunk.column("positive_hash")[rows]
        twins &= not chunk.negatives
        for number in np.unique(group).tolist():
            own = group == number
            counts.add(corpus.groups[number][1:], lengths[own], twins[own])
    return counts.as_json()
