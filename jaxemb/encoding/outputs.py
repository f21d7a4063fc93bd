"""Writers of embeddings that never hold more than one block: .npy and .parquet."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxemb.errors import UserError

Writer = Callable[[Path, Iterable[Float32[np.ndarray, "n E"]], int], int]


def write_npy(path: Path, blocks: Iterable[Float32[np.ndarray, "n E"]], width: int) -> int:
    """Writes rows one after another as one float32 array [N, width]; returns N.

    The header comes first and contains N, so it is rewritten at the end. NumPy leaves room in it for a longer N.
    """

    def header(rows: int) -> int:
        content = {
            "descr": np.lib.format.dtype_to_descr(np.dtype("<f4")),
            "fortran_order": False,
            "shape": (rows, width),
        }
        np.lib.format.write_array_header_1_0(file, content)
        return file.tell()

    rows = 0
    with path.open("wb") as file:
        start = header(0)
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").data)
            rows += len(block)
        file.seek(0, os.SEEK_SET)
        if header(rows) != start:
            raise AssertionError("the .npy header changed its size")
    return rows


def write_parquet(path: Path, blocks: Iterable[Float32[np.ndarray, "n E"]], width: int) -> int:
    """Writes a column `embedding` of fixed-size float32 lists, one row group per block; returns the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field("embedding", pa.list_(pa.float32(), width), nullable=False)])
    rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        for block in blocks:
            column = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), width)
            writer.write_table(pa.table([column], schema=schema))
            rows += len(block)
    return rows


WRITERS: dict[str, Writer] = {".npy": write_npy, ".parquet": write_parquet}


def writer_for(path: Path) -> Writer:
    """The writer for the suffix of `path`.

    Raises: UserError if the suffix is not supported.
    """
    if path.is_dir():
        raise UserError(f"{path} is a directory; the output is a file ({' or '.join(WRITERS)})")
    if path.suffix not in WRITERS:
        raise UserError(f"{path}: unknown output format {path.suffix!r}; supported: {', '.join(WRITERS)}")
    return WRITERS[path.suffix]
