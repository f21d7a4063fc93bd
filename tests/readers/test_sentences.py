import gzip
import json

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.sentences import read_sentences

BOTH = ["A man, who sings", "Two dogs"]


@pytest.mark.parametrize(
    ("name", "content", "sentences"),
    [
        ("tatoeba.deu-eng.eng", "A man, who sings\nTwo dogs\n", BOTH),
        ("lines.txt", 'Yes, no, 5\n"Quoted", he said\n', ["Yes, no, 5", '"Quoted", he said']),
        ("en.test.csv", '"A man, who sings",Two dogs,2.5\n', BOTH),  # STSb-multi-mt
        ("sts-test.csv", "main\tMSRvid\t2012\t1\t2.5\tA man, who sings\tTwo dogs\n", BOTH),  # STSbenchmark
        ("SICK_trial.txt", "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tlabel\n"
         "1\tA man, who sings\tTwo dogs\t4\tNEUTRAL\n", ["sentence_A", "sentence_B", *BOTH]),
        ("MSRvid.test.tsv", "2.5\tA man, who sings\tTwo dogs\n", BOTH),
        ("STS.en-de.txt", "A man, who sings\tTwo dogs\t2.5\n", BOTH),
        ("STS.input.MSRvid.txt", "A man, who sings\tTwo dogs\n", BOTH),
        ("pandas.csv", 'id,score,sentence1,sentence2\n7,1.0,"A man, who sings",Two dogs\n',
         ["sentence1", "sentence2", *BOTH]),
        ("en-de.tsv", "A man, who sings\tTwo dogs\tmulti30k\n", [*BOTH, "multi30k"]),  # no STS layout: every cell
        ("xnli.tsv", "language\tsentence1\tgold_label\nen\tA man, who sings\tneutral\n",
         ["language", "sentence1", "gold_label", "en", "A man, who sings", "neutral"]),
        ("test.jsonl", json.dumps({"text": BOTH[0], "n": 1, "more": [{"a": BOTH[1]}]}) + "\nnot JSON\n",
         sorted(BOTH)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_layouts(tmp_path, name, content, sentences, zipped):
    path = tmp_path / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    found = list(read_sentences(path))
    assert (sorted(found) if name.endswith("jsonl") else found) == sentences


def test_lines_that_are_no_text_are_left_out(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\n\xff\ntwo\n")
    (tmp_path / "a.tsv").write_bytes(b"one\ttwo\n\xff\tthree\nfour\n")
    assert list(read_sentences(tmp_path / "a.txt")) == ["one", "two"]
    assert list(read_sentences(tmp_path / "a.tsv")) == ["one", "two", "four"]


@pytest.mark.parametrize(("name", "content", "message"), [("a.csv", 'a,"b\n', "not valid CSV"), ("a.txt", "", "empty")])
def test_what_cannot_be_read_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(read_sentences(tmp_path / name))


def test_a_real_sts_file_gives_its_sentences(real_data):
    found = list(read_sentences(real_data / "stsb" / "en.test.csv.gz"))
    assert len(found) == 2 * 1379
    assert "A girl is styling her hair." in found
