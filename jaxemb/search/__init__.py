"""Nearest neighbours among embeddings."""

from jaxemb.search.exact import check_finite, nearest

__all__ = ["check_finite", "nearest"]
