"""`jaxemb encode`: a file of texts in, a file of embeddings out, in constant memory."""

import logging
from pathlib import Path

from jaxemb.encoding.inputs import text_reader
from jaxemb.encoding.model import Model
from jaxemb.encoding.outputs import writer_for
from jaxemb.encoding.texts import embed_blocks
from jaxemb.files import atomic_file
from jaxemb.models import Params, encoded_size
from jaxemb.progress import progress_bar

logger = logging.getLogger(__name__)


def encode_file(
    embedder: Model,
    input_path: str | Path,
    output_path: str | Path,
    *,
    column: int | str | None = None,
    header: bool = False,
    batch_size: int = 64,
    show_progress: bool = False,
    params: Params | None = None,
) -> int:
    """Embeds each line of a file; row N of the output belongs to line N + 1 of the input, not counting a header.

    Args:
      embedder: as for `encode`.
      input_path: lines of text, a table or a `.jsonl`, plain or `.gz`; see `inputs.text_reader`. An empty file gives
        no rows and a warning.
      output_path: `.npy`, a float32 array [N, E], or `.parquet`, a column `embedding` of float32 lists (without the
        texts). It is written atomically: complete or not at all.
      column: column of a table, counted from 0 (of a `.tsv` 0 when None) or by its name in the header, or key of a
        `.jsonl` (`text` when None).
      header: whether the first line of a table names its columns; it does if the column is given by its name.
      batch_size: as for `encode`.
      show_progress: counts the texts first, then shows a bar on stderr.
      params: as for `encode`.

    Returns: the number of rows.
    Raises: UserError; the message names the file, and the line if there is one.
    """
    input_path, output_path = Path(input_path), Path(output_path)
    write = writer_for(output_path)
    texts = text_reader(input_path, column, header=header)
    total = sum(1 for _ in texts()) if show_progress else 0
    with atomic_file(output_path) as partial, progress_bar("Encoding", total, show_progress) as advance:
        blocks = embed_blocks(embedder, texts(), batch_size=batch_size, params=params, advance=advance)
        rows = write(partial, blocks, encoded_size(embedder.config))
    if not rows:
        logger.warning("%s is empty: %s has no rows", input_path, output_path)
    return rows
