"""Values and bad lines of a file with a JSON value a line."""

import gzip

from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine

LINES = ['{"a": "ä \\ud83d\\ude00"}', "nonsense", "[1, 2]", '"half of one \\ud83d"', "", '{"a": "\\\\ud83d"}']


def test_values_and_bad_lines_by_their_numbers(tmp_path):
    for name, opened in (("a.jsonl", open), ("a.jsonl.gz", gzip.open)):
        with opened(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write("\n".join(LINES) + "\n")
        found = list(read_json_lines(tmp_path / name))
        assert found[0] == (1, LINES[0], {"a": "ä 😀"})
        assert found[2] == (3, "[1, 2]", [1, 2])
        assert found[5] == (6, LINES[5], {"a": "\\ud83d"}), "a backslash, not half of a character"
        bad = [one for one in found if isinstance(one, BadLine)]
        assert [(one.line, one.reason.split(",")[0]) for one in bad] == [
            (2, "not JSON"),
            (4, "half of a character"),
            (5, "not JSON"),
        ]
