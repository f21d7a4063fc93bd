"""The mesh of devices, sharding rules, and in-batch negatives across devices. No other package uses `shard_map`."""

from jaxemb.parallel.grad_cache import chunked_embed, rows_of_tokens
from jaxemb.parallel.in_batch import Across, Negatives
from jaxemb.parallel.masked_lm import masked_lm_over_mesh
from jaxemb.parallel.mesh import BATCH_AXES, batch_sharding, make_mesh, param_shardings, replicated
from jaxemb.parallel.negatives import bidirectional_in_batch_loss, ranking_loss
from jaxemb.parallel.rows import over_rows
from jaxemb.parallel.table import is_split_by_rows, lookup

__all__ = [
    "BATCH_AXES",
    "Across",
    "Negatives",
    "batch_sharding",
    "bidirectional_in_batch_loss",
    "chunked_embed",
    "is_split_by_rows",
    "lookup",
    "make_mesh",
    "masked_lm_over_mesh",
    "over_rows",
    "param_shardings",
    "ranking_loss",
    "replicated",
    "rows_of_tokens",
]
