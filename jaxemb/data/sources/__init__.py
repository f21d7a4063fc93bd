"""Sources of examples. Each kind of source is divided into parts: one file, or one pair of aligned files, each."""

from jaxemb.config import (
    GettextSource,
    HfSource,
    JsonlSource,
    MosesSource,
    NliSource,
    ParquetSource,
    Source,
    StsSource,
    TextSource,
    TfdsSource,
    TmxSource,
    TsvSource,
)
from jaxemb.data.sources import gettext, hf, jsonl, moses, nli, parquet, sts, text, tfds, tmx, tsv
from jaxemb.data.sources.part import SourcePart

__all__ = ["SourcePart", "source_parts"]


def source_parts(source: Source, root: str | None) -> list[SourcePart]:
    """The parts of a configured source; nothing is read yet.

    Args:
      source: one of `data.sources`.
      root: `data.root`, a folder or a URL where relative paths start; the working directory when None.

    Raises:
      UserError: if a package or file is missing.
    """
    match source:
        case GettextSource():
            return gettext.parts(source)
        case TsvSource():
            return tsv.parts(source, root)
        case MosesSource():
            return moses.parts(source, root)
        case TmxSource():
            return tmx.parts(source, root)
        case TextSource():
            return text.parts(source, root)
        case NliSource():
            return nli.parts(source, root)
        case StsSource():
            return sts.parts(source, root)
        case JsonlSource():
            return jsonl.parts(source, root)
        case ParquetSource():
            return parquet.parts(source, root)
        case HfSource():
            return hf.parts(source, root)
        case TfdsSource():
            return tfds.parts(source, root)
