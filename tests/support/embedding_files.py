"""Files of embeddings, read back."""

import numpy as np
import pyarrow.parquet as pq


def read_embeddings(path):
    if path.suffix == ".npy":
        return np.load(path)
    table = pq.read_table(path)
    assert table.column_names == ["embedding"]
    assert table.schema.field("embedding").type.list_size == 32
    return np.stack(table["embedding"].to_numpy())
