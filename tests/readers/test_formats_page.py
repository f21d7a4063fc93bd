"""docs/formats.md names what the readers look for."""

from pathlib import Path

import pytest

from jaxemb.config.sources import NliSource
from jaxemb.data.sources.nli_rows import HYPOTHESIS, LABEL, PREMISE
from jaxemb.readers import splits, sts_layouts

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "names",
    [
        splits.LANGUAGE,
        splits._SPLIT,
        splits._MAY_BE_SPLIT,
        sts_layouts.SICK_COLUMNS,
        sts_layouts._SCORES[1:2] + sts_layouts._SCORES[3:5],
        PREMISE + HYPOTHESIS,
        LABEL,
        tuple(name for name in NliSource.model_fields if name in ("split", "language", "label_names")),
    ],
)
def test_every_name_is_on_the_page(names):
    assert names
    assert not [name for name in names if name not in PAGE]
