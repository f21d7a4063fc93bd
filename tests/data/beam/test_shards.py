import dataclasses

import numpy as np
import pyarrow as pa

from data.beam.conftest import groups_of, tables_of
from jaxemb.data.beam import shards
from jaxemb.data.beam.shards import TOKENIZER, Target, write
from jaxemb.data.beam.tables import PLACED, packed
from jaxemb.data.gathering.gather import gather
from jaxemb.data.preparing.finishing import prompts_of
from jaxemb.data.preparing.local import write_shards
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.preparing.writing import rows_of_lane


def test_a_shard_is_that_of_one_machine(config, tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(shards, "_TEXTS", 50)
    data, encoding = gather(config, 0, workers=1), Encoding.of(tokenizer)
    whole = write_shards(data, config, encoding, str(tmp_path / "a"))
    rows, tables = rows_of_lane(data.corpus, 0, 1), tables_of(data.corpus)
    in_order = pa.concat_tables(
        tables[c].slice(r, 1) for c, r in zip(rows.chunk.tolist(), rows.row.tolist(), strict=True)
    )
    placed = in_order.append_column("index", pa.array(np.arange(len(in_order))))
    parts = [next(packed(placed.slice(start, 100), PLACED)) for start in range(0, len(placed), 100)]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / TOKENIZER).write_text(encoding.backend.to_str())
    (tmp_path / "b" / "plan.json").write_text('{"plan": "p"}')
    target = Target(str(tmp_path / "b"), "p", "uint16", prompts_of(config))
    texts = tuple((index, source.texts) for index, source in enumerate(whole.sources))
    written = write(0, parts[::-1], target, dataclasses.replace(groups_of(data.corpus), texts=texts))
    assert {source.texts for source in whole.sources} == {2, 3}
    assert written.info == whole.shards[0].info
    assert written.lengths == whole.report["lengths"]
    for name in written.info.sizes:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
