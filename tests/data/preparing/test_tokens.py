import dataclasses

import numpy as np
import pytest
import transformers

from data.gathering.conftest import NO_FILTER, some_rows
from jaxemb.data.gathering.chunks import Chunk, write_chunk
from jaxemb.data.gathering.rows import Row, clean_rows
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.data.preparing import tokens
from jaxemb.data.preparing.tokens import Encoding, tokenize_chunk

PIECES = [
    *"abcdefghijklmnopqrstuvwxyz0123456789",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"),
]


@pytest.fixture(scope="module")
def tokenizer():
    vocabulary = {
        piece: index
        for index, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "of", "many", *PIECES])
    }
    return transformers.BertTokenizerFast(vocab=vocabulary)


def chunk_of(folder, rows) -> Chunk:
    write_chunk(folder / "a.arrow", clean_rows(rows, NO_FILTER, Report()), {})
    return Chunk(folder / "a.arrow", 0)


def test_ids_are_the_tokenizer_s_without_special_tokens(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(tokens, "_TEXTS", 7)
    rows = [
        dataclasses.replace(row, record=dataclasses.replace(row.record, negatives=("one", f"two {number}")))
        for number, row in enumerate(some_rows(0, 20))
    ]
    chunk = chunk_of(tmp_path, rows)
    encoding = Encoding.of(tokenizer)
    assert (encoding.prefix, encoding.suffix) == ((2,), (3,))
    found = tokenize_chunk(chunk, encoding, ("query: ", ""))
    assert found.ids.dtype == np.uint16
    for row, values in enumerate(chunk.table.to_pylist()):
        texts = [f"query: {values['anchor']}", values["positive"], *values["negatives"]]
        wanted = tokenizer(texts, add_special_tokens=False)["input_ids"]
        assert [ids.tolist() for ids in found.of_row(row)] == wanted
        assert found.lengths[row].tolist() == list(map(len, wanted))


def test_a_sentence_with_itself_is_stored_once(tmp_path, tokenizer):
    chunk = chunk_of(
        tmp_path,
        [Row(0, n, 0, Record(f"text {n}", f"text {n}", anchor_lang="en", positive_lang="en")) for n in range(3)],
    )
    found = tokenize_chunk(chunk, Encoding.of(tokenizer), ("", ""))
    first, second = found.of_row(1)
    assert first is second
    assert len(found.ids) == int(found.lengths[:, 0].sum())
    first, second = tokenize_chunk(chunk, Encoding.of(tokenizer), ("a ", "b ")).of_row(1)
    assert first.tolist() != second.tolist()


def test_a_file_is_used_again_by_the_same_tokenizer_and_prompts_only(tmp_path, tokenizer, monkeypatch):
    chunk, encoding = chunk_of(tmp_path, some_rows(0, 5)), Encoding.of(tokenizer)
    path = tokenize_chunk(chunk, encoding, ("", "")).path
    others = {tokenize_chunk(chunk, encoding, ("q ", "")).path, tokenize_chunk(chunk, encoding, ("", "q ")).path}
    bigger = transformers.BertTokenizerFast(vocab={**tokenizer.get_vocab(), "new": len(tokenizer)})
    others.add(tokenize_chunk(chunk, Encoding.of(bigger), ("", "")).path)
    assert len(others | {path}) == 4
    tokenizer(["a long text"], truncation=True, max_length=4)  # settings of a call are not the tokenizer's
    monkeypatch.setattr(tokens, "_write", lambda *_: pytest.fail("tokenized again"))
    assert tokenize_chunk(chunk, Encoding.of(tokenizer), ("", "")).path == path


def test_larger_vocabularies_take_four_bytes(tmp_path, tokenizer):
    more = {**tokenizer.get_vocab(), **{f"w{n}": len(tokenizer) + n for n in range(1 << 16)}}
    encoding = Encoding.of(transformers.BertTokenizerFast(vocab=more))
    assert encoding.dtype == "<u4"
    assert tokenize_chunk(chunk_of(tmp_path, some_rows(0, 5)), encoding, ("", "")).ids.dtype == np.uint32
