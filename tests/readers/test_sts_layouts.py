"""Files of the field, in miniature. Each fixture says where its layout was seen."""

import gzip
import re

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.sts import read_sts, read_sts_by_language
from jaxemb.readers.sts_files import find_sts
from jaxemb.readers.sts_languages import cross_lingual
from jaxemb.readers.sts_rows import sts_rows
from jaxemb.readers.sts_sets import read_sts_sets

WANTED = ((("A dog, a cat", "He sings"), ('The "dog"', "She reads"), (2.5, 0.0)),)
TAB = [
    # SemEval 2012 to 2016 as one file: github.com/brmson/dataset-sts, data/sts/semeval-sts
    ("images.test.tsv", '2.5\tA dog, a cat\tThe "dog"\n0\tHe sings\tShe reads\n'),
    # STSbenchmark's sts-dev.csv, between tabs: SentEval, senteval/sts.py (columns 4, 5, 6)
    (
        "sts-dev.csv",
        'main-captions\tMSRvid\t2012test\t0001\t2.500\tA dog, a cat\tThe "dog"\n'
        "main-news\theadlines\t2013\t0004\t0\tHe sings\tShe reads\tlicence\thttp://x\n",
    ),
    # sbert.net's stsbenchmark.tsv.gz: csv.DictReader in sentence-transformers' training_stsbenchmark.py; the
    # columns, in this order, as features of huggingface.co/datasets/mteb/stsbenchmark-sts
    (
        "stsbenchmark.tsv",
        "split\tgenre\tdataset\tyear\tsid\tscore\tsentence1\tsentence2\n"
        'dev\tmain-captions\tMSRvid\t2012test\t0001\t2.5\tA dog, a cat\tThe "dog"\n'
        "dev\tmain-news\theadlines\t2013\t0002\t0\tHe sings\tShe reads\n",
    ),
    # GLUE's STS-B/dev.tsv: its header in the readme of several GLUE loaders, "index genre filename year old_index ..."
    (
        "dev.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        '0\tmain-captions\tMSRvid\t2012test\t0000\tnone\tnone\tA dog, a cat\tThe "dog"\t2.500\n'
        "1\tmain-news\theadlines\t2013\t0002\tnone\tnone\tHe sings\tShe reads\t0.000\n",
    ),
    # KorSTS: github.com/kakaobrain/kor-nlu-datasets
    (
        "sts-test.tsv",
        "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
        'main-captions\tMSRvid\t2012test\t0001\t2.5\tA dog, a cat\tThe "dog"\n'
        "main-captions\tMSRvid\t2012test\t0004\t0\tHe sings\tShe reads\n",
    ),
    # STS2017-extended of sbert.net: make_multilingual.py of sentence-transformers reads columns 0, 1 and 2
    ("STS.en-de.txt", 'A dog, a cat\tThe "dog"\t2.5\nHe sings\tShe reads\t0\n'),
]
COMMAS = [
    # STSb-multi-mt: github.com/PhilipMay/stsb-multi-mt
    ("stsb-en-dev.csv", '"A dog, a cat","The ""dog""",2.5\nHe sings,She reads,0\n'),
    # pandas.DataFrame.to_csv, with its index; the names are those of Hugging Face's stsb_multi_mt and mteb
    (
        "pandas.csv",
        ',sentence1,sentence2,similarity_score\n0,"A dog, a cat","The ""dog""",2.5\n1,He sings,She reads,0\n',
    ),
    ("labels.txt", 'idx,label,sentence2,sentence1\n0,2.5,"The ""dog""","A dog, a cat"\n1,0,She reads,He sings\n'),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "content"), TAB + COMMAS)
def test_columns_go_by_header_or_layout(tmp_path, name, content, packed):
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    pairs = read_sts(path)
    assert (pairs.first, pairs.second, pairs.scores) == WANTED[0]


def test_a_name_does_not_decide(tmp_path):
    """STSbenchmark's .csv whose sentences have as many commas as STSb's, and a known header in any suffix."""
    path = tmp_path / "sts-train.csv"
    path.write_text("main-forum\tx\t2015\t0001\t1.0\tOne, two\tthree, 4\nmain-forum\tx\t2015\t0002\t2\ta\tb\n")
    assert read_sts(path).second == ("three, 4", "b")
    path.rename(tmp_path / "data.table")
    assert read_sts(tmp_path / "data.table").scores == (1.0, 2.0)
    (tmp_path / "data.json").write_text("{}\n")
    with pytest.raises(UserError, match=r"data\.json: must end in .*header that names sentence1"):
        read_sts(tmp_path / "data.json")


def test_glue_without_scores_is_told_so(tmp_path):
    (tmp_path / "test.tsv").write_text("index\tgenre\tsentence1\tsentence2\n0\tx\ta\tb\n")
    with pytest.raises(UserError, match=r"test\.tsv, line 1: the header names no score \(score, similarity_score"):
        read_sts(tmp_path / "test.tsv")


# SemEval 2015 and 2016: most lines of github.com/brmson/dataset-sts, 2016/question-question.test.tsv, begin with a tab.
UNSCORED = "\tA dog runs\tA cat runs\n3.0\tHi there\tHello\n1.0\tA man\tNo tree\n \t\tnobody\n"


def test_pairs_that_nobody_annotated_are_left_out(tmp_path):
    (tmp_path / "2015").mkdir()
    (tmp_path / "2015" / "images.test.tsv").write_text(UNSCORED)
    [one] = read_sts_sets([tmp_path], "test")
    [pairs] = one.pairs
    assert (one.name, pairs.first, pairs.scores, pairs.unscored) == ("STS15", ("Hi there", "A man"), (3.0, 1.0), 2)
    assert pairs.rows == (2, 3)
    for text in ("?", "none", "3,0"):
        (tmp_path / "2015" / "images.test.tsv").write_text(UNSCORED + f"{text}\tx\ty\n")
        with pytest.raises(UserError, match=rf"line 5: the score '{re.escape(text)}' is not a finite number"):
            read_sts_sets([tmp_path], "test")


def test_other_layouts_have_pairs_without_score_too(tmp_path):
    (tmp_path / "en.test.csv").write_text("a,b,\nc,d,1\ne,f,2\n")
    (tmp_path / "de.test.csv").write_text("A,B,\nC,D,1\nE,F,2\n")
    assert read_sts(tmp_path / "en.test.csv").unscored == 1
    crossed = cross_lingual([tmp_path], "test", [("en", "de")])["en", "de"]
    assert (crossed.first, crossed.second, crossed.unscored) == (("c", "e"), ("D", "F"), 1)
    (tmp_path / "de.test.csv").write_text("A,B,1\nC,D,\nE,F,2\n")
    with pytest.raises(UserError, match=r"pair 1 has a score in only one of them: row N of one must translate"):
        cross_lingual([tmp_path], "test", [("en", "de")])


def test_senteval_pairs_of_files(tmp_path):
    """STS12-en-test of SentEval: senteval/sts.py, loadFile; an empty line of STS.gs is a pair without score."""
    folder = tmp_path / "STS15-en-test"
    folder.mkdir()
    (folder / "STS.input.answers-forums.txt").write_text('A "dog"\tb\nc\td\ne\tf\n')
    (folder / "STS.gs.answers-forums.txt").write_text("2.5\n\n1\n")
    (folder / "STS.input.images.txt").write_text("a\tb\thttp://x\ty\nc\td\t\t\n")
    (folder / "STS.gs.images.txt").write_text("0\n4.000\n")
    (folder / "STS.gs.ALL.txt").write_text("2.5\n\n1\n0\n4\n")  # as SemEval's 2012 folder has
    for place in (tmp_path, folder):
        [one] = read_sts_sets([place], "test")
        assert (one.name, one.subsets) == ("STS15", ("answers-forums", "images"))
        assert [(pairs.first, pairs.scores, pairs.unscored) for pairs in one.pairs] == [
            (('A "dog"', "e"), (2.5, 1.0), 1), (("a", "c"), (0.0, 4.0), 0),
        ]  # fmt: skip
    with pytest.raises(UserError, match=r"there is --split test, and a file"):
        find_sts([tmp_path], "dev")
    (folder / "STS.gs.images.txt").write_text("0\n")
    with pytest.raises(UserError, match=r"STS\.input\.images\.txt has 2 lines but .*STS\.gs\.images\.txt has 1"):
        read_sts(folder / "STS.input.images.txt")
    (folder / "STS.gs.images.txt").write_text("0\nx\n")
    with pytest.raises(UserError, match=r"STS\.gs\.images\.txt, line 2: the score 'x'"):
        read_sts(folder / "STS.input.images.txt")
    (folder / "STS.gs.images.txt").unlink()
    with pytest.raises(UserError, match=r"STS\.input\.images\.txt: its gold scores, STS\.gs\.images\.txt, are not"):
        read_sts(folder / "STS.input.images.txt")


# SICK.txt: "SemEval_set: set including the sentence pair in SemEval 2014 Task 1 (TRIAL, TRAIN, or TEST)", its readme.
SICK = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    "1\ta\tb\tNEUTRAL\t4.5\tTRAIN\n2\tc\td\tNEUTRAL\t1\tTRIAL\n3\te\tf\tNEUTRAL\t2\tTRIAL\n"
    "4\tg\th\tENTAILMENT\t5\tTEST\n5\ti\tj\tNEUTRAL\t3\tTEST\n6\tk\tl\tNEUTRAL\t3\tTRAIN\n"
)


def test_rows_of_the_split_are_read(tmp_path):
    (tmp_path / "SICK.txt").write_text(SICK)
    for split, first in (("train", ("a", "k")), ("dev", ("c", "e")), ("test", ("g", "i"))):
        for place in (tmp_path, tmp_path / "SICK.txt"):
            [one] = read_sts_sets([place], split)
            assert (one.name, one.pairs[0].first) == ("SICK", first)
    assert one.pairs[0].others == "train 2, dev 2"
    (tmp_path / "SICK.txt").write_text(SICK.replace("TEST", "TRAIN"))
    with pytest.raises(UserError, match=r"no row is of the split test, there are train 4, dev 2; choose with --split"):
        read_sts_sets([tmp_path], "test")


def test_a_folder_gives_the_same_pairs_once(tmp_path):
    """SICK.txt beside SICK_test_annotated.txt, and sbert.net's stsbenchmark.tsv beside STSbenchmark's sts-test.csv."""
    (tmp_path / "SICK.txt").write_text(SICK)
    (tmp_path / "SICK_test_annotated.txt").write_text(SICK)
    for name, content in TAB[1:3]:
        (tmp_path / name.replace("dev", "test")).write_text(content)
    for file in ("2012/x.test.tsv", "STS12-en-test/STS.input.x.txt", "STS12-en-test/STS.gs.x.txt", "test.tsv"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = find_sts([tmp_path], "test")
    assert [one.name for one in found] == ["STS12", "sts-test", "SICK_test_annotated"]
    assert [file.name for file in found[0].files] == ["x.test.tsv"]
    assert [one.name for one in find_sts([tmp_path], "dev")] == ["stsbenchmark", "SICK"]


def test_only_a_header_makes_glue_s_dev_tsv_a_set(tmp_path):
    """GLUE: STS-B's dev.tsv has scores, its test.tsv has none."""
    (tmp_path / "dev.tsv").write_text(TAB[3][1])
    (tmp_path / "test.tsv").write_text("index\tsentence1\tsentence2\n0\ta\tb\n")
    (tmp_path / "en.test.csv").write_text("a,b,1\nc,d,2\n")
    assert [one.name for one in find_sts([tmp_path], "dev")] == ["dev"]
    assert [one.name for one in find_sts([tmp_path], "test")] == ["en.test"]


def test_a_column_is_of_splits_only_if_it_names_splits(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("set\tsentence1\tsentence2\tscore\nvalidation\ta\tb\t1\nvalid\tc\td\t2\ntest\te\tf\t3\n")
    assert [row.split for row in sts_rows(path)] == ["validation", "valid", "test"]
    assert read_sts(path, "dev").first == ("a", "c")
    path.write_text("set\tsentence1\tsentence2\tscore\nnews\ta\tb\t1\nweb\tc\td\t2\n")
    assert read_sts(path, "dev").first == ("a", "c")


def test_languages_are_sets_of_their_own(tmp_path):
    path = tmp_path / "multi.csv"
    path.write_text("lang,sentence1,sentence2,score\nde,a,b,1\nfr,c,d,2\nde,e,f,3\nfr,g,h,4\nfr,i,j,\n")
    found = read_sts_sets([path], "test")
    assert [(one.name, one.pairs[0].first, one.pairs[0].unscored) for one in found] == [
        ("multi (de)", ("a", "e"), 0), ("multi (fr)", ("c", "g"), 1),
    ]  # fmt: skip
    path.write_text("lang,sentence1,sentence2,score\nde,a,b,1\nde,e,f,3\n")
    assert list(read_sts_by_language(path)) == [None]
