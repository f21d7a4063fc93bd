"""Atomic output: written under a temporary name in the same folder, then renamed, with the permissions of the umask."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jaxemb.errors import CannotWrite, UsageError, UserError

_UNWRITABLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.EIO,
)  # fmt: skip
_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial")


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")


def is_partial(path: Path) -> bool:
    """Whether `path` is unfinished output."""
    return _PARTIAL.fullmatch(path.name) is not None


def remove_partial(folder: Path, days: float = 0.0) -> None:
    """Removes unfinished output of killed processes in `folder`, if it is at least `days` old."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_partial(path) and path.stat().st_ctime <= time.time() - days * 86400:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def lock_exclusively(lock: IO[str], in_use: str) -> None:
    """Locks an open file until it is closed, if the file system has locks.

    Raises:
      UsageError: with the message `in_use`, if another process holds the lock.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(in_use) from None
    except OSError:
        pass  # a file system without locks


def cache_root(cache_dir: str | None) -> Path:
    """The folder of all cached data: `cache_dir`, else `$XDG_CACHE_HOME/jaxemb`, else `~/.cache/jaxemb`."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "jaxemb"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder; renames it to `path` on success and removes it on failure.

    The temporary file exists already, and is empty. The result always has the mode of a new file, 0666 less the umask.

    Raises:
      CannotWrite: if the disk is full, for example.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_file(folder / "a.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
        mode = partial.stat().st_mode
        yield partial
        _set_mode(partial, mode)
        os.replace(partial, path)
    except OSError as error:
        _raise_if_unwritable(path, error)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _set_mode(path: Path, mode: int) -> None:
    """Sets the permissions of a file or a directory: some libraries write files that nobody else may read."""
    now = path.lstat().st_mode
    wanted = now & ~0o777 | mode & 0o777
    if wanted != now and not stat.S_ISLNK(now):
        with contextlib.suppress(OSError):  # a file system without permissions
            path.chmod(stat.S_IMODE(wanted))


def _raise_if_unwritable(path: Path, error: OSError) -> None:
    if error.errno in _UNWRITABLE:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror})") from error
    if error.errno is None and str(error).endswith(" written"):  # NumPy's message for an incomplete write
        raise CannotWrite(f"{path}: cannot be written ({os.strerror(errno.ENOSPC)})") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) to `path`, whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def os_errors_of_rust() -> Iterator[None]:
    """Turns the exceptions of safetensors and tokenizers for failed writes back into OSErrors."""
    try:
        yield
    except Exception as error:
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise


@contextlib.contextmanager
def atomic_directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary directory in the same folder; renames it to `path` on success and removes it on failure.

    With `replace`, the old contents of `path` are removed only when the new directory is complete. All files in it end
    up with the mode of a new file, 0666 less the umask, and all directories with that of a new directory.

    Raises:
      UserError: if `path` exists and is not empty, unless `replace`; or is the current directory.
      CannotWrite: if the disk is full, for example.
    """
    if path.exists() and not replace and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and is not empty: choose another output directory or remove it")
    path = path.absolute()
    if path == Path.cwd():
        raise UserError(f"{path} is the current directory: name a new folder, such as {path / 'model'}")
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        mode = partial.stat().st_mode
        yield partial
        for folder, _, names in os.walk(partial):
            _set_mode(Path(folder), mode)
            for name in names:
                _set_mode(Path(folder, name), mode & 0o666)
        if replace and path.exists():
            old = _beside(path)
            os.replace(path, old)
            os.replace(partial, path)
            shutil.rmtree(old)
        else:
            if path.exists():
                path.rmdir()
            os.replace(partial, path)
    except OSError as error:
        _raise_if_unwritable(path, error)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
