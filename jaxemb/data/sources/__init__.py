"""Sources of examples. Each kind of source is divided into parts: one file, or one pair of aligned files, each."""

from pathlib import Path

from jaxemb.config import (
    GettextSource,
    JsonlSource,
    MosesSource,
    NliSource,
    Source,
    StsSource,
    TextSource,
    TfdsSource,
    TsvSource,
)
from jaxemb.data.sources import gettext, jsonl, moses, nli, sts, text, tfds, tsv
from jaxemb.data.sources.part import SourcePart

__all__ = ["SourcePart", "source_parts"]


def source_parts(source: Source, root: str | None) -> list[SourcePart]:
    """The parts of a configured source; nothing is read yet.

    Args:
      source: one of `data.sources`.
      root: `data.root`, where relative paths start; the working directory when None.

    Raises:
      UserError: if a package or file is missing.
    """
    folder = Path(root).expanduser() if root else Path()
    match source:
        case GettextSource():
            return gettext.parts(source)
        case TsvSource():
            return tsv.parts(source, folder)
        case MosesSource():
            return moses.parts(source, folder)
        case TextSource():
            return text.parts(source, folder)
        case NliSource():
            return nli.parts(source, folder)
        case StsSource():
            return sts.parts(source, folder)
        case JsonlSource():
            return jsonl.parts(source, folder)
        case TfdsSource():
            return tfds.parts(source, folder)
