"""Stores that fsspec knows: opening one, and asking it again when it fails."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from jaxemb.errors import UserError

T = TypeVar("T")

WAITS = (1.0, 5.0, 25.0)
"""Seconds between attempts to read what the network or the store refuses."""


def open_file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
      UserError: if fsspec does not know the protocol, lacks a package for it, or cannot open it.
    """
    from fsspec.core import url_to_fs

    try:
        file_system, path = url_to_fs(url)
    except ImportError as error:
        raise UserError(
            f"{url}: {error} (pip install 'jaxemb[remote]' brings what gs://, s3:// and https:// need)"
        ) from None
    except Exception as error:  # each store has its own exceptions
        raise UserError(f"{url}: cannot be opened ({one_line(error)})") from error
    return file_system, path


def retried(act: Callable[[], T], url: str) -> T:
    """Calls the function, and again after a while if it fails, as networks do.

    Raises:
      FileNotFoundError: at once.
      UserError: if it fails for good.
    """
    attempts = len(WAITS) + 1
    for attempt in range(attempts):
        try:
            return act()
        except (FileNotFoundError, UserError):
            raise
        except (PermissionError, NotImplementedError) as error:
            raise UserError(
                f"{url}: cannot be read ({one_line(error)}); are its name and the credentials right?"
            ) from error
        except Exception as error:  # each store has its own exceptions
            if attempt == len(WAITS):
                raise UserError(f"{url}: cannot be read, {attempts} attempts failed ({one_line(error)})") from error
            time.sleep(WAITS[attempt])
    raise AssertionError


def one_line(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
