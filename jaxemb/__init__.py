"""Train sentence embeddings in JAX, from a laptop to a TPU pod, and ship them to Hugging Face.

>>> import jaxemb
>>> sorted(jaxemb.__all__)
['Embedder', '__version__', 'load', 'losses', 'train']
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxemb import losses
    from jaxemb.encoding import Embedder
    from jaxemb.loading import load
    from jaxemb.training.run import train

__version__ = version("jaxemb")
__all__ = ["Embedder", "__version__", "load", "losses", "train"]

# Imported on first use: `jaxemb --help` must not wait for jax.
_HOMES = {"load": "jaxemb.loading", "train": "jaxemb.training.run", "Embedder": "jaxemb.encoding"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("losses", "models", "parallel", "config"):
        return importlib.import_module(f"jaxemb.{name}")
    raise AttributeError(f"module 'jaxemb' has no attribute {name!r}")
