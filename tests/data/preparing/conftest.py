"""The rows that gathering is tested with, too."""

from data.gathering.conftest import sources

__all__ = ["sources"]
