"""Where input files are: on this machine, behind a URL that fsspec knows, or in a ZIP archive at either place."""

import glob
import re
import stat
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.archives import ArchiveMember, members
from jaxemb.readers.remote import RemoteFile, has_tag, state_of
from jaxemb.readers.stores import open_file_system, retried

Location = Path | RemoteFile | ArchiveMember
"""A file that can be read. All three have `name`, `with_name`, `is_file` and `open`."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)")
_ZIP = "zip://"


def is_url(path: str) -> bool:
    """Whether a setting names a URL, not a file of this machine.

    >>> is_url("gs://bucket/en-*.tsv.gz"), is_url("bitext/en-*.tsv.gz")
    (True, False)
    """
    return _URL.match(path) is not None


def find_files(path: str, root: str | None) -> list[Location]:
    """The files that a path, a URL or a pattern (`*`, `**`) matches, sorted; none if there is none.

    Uses the network only for a URL.

    Args:
      path: `corpus/en-*.tsv`, `gs://bucket/en-*.tsv`, `zip://en-*.tsv::corpus.zip`; relative to `root`.
      root: a folder or a URL; the working directory when None.

    Raises:
      UserError: if a store or an archive cannot be read, or an archive has no member of that name.
    """
    if path.startswith(_ZIP) and "::" in path:
        member, _, archive = path.removeprefix(_ZIP).partition("::")
        return [found for place in find_files(archive, root) for found in _in_archive(place, member)]
    whole = whole_path(path, root)
    if is_url(whole):
        return list(_remote_files(whole))
    file = Path(whole)
    if file.is_file():  # a name with brackets may be the name of a file, not a pattern
        return [file]
    folder = Path(root or "").expanduser()
    matches = (folder / name for name in glob.glob(path, root_dir=folder, recursive=True))
    return [*sorted(match for match in matches if match.is_file())]


def whole_path(path: str, root: str | None) -> str:
    """A path of the config with the folder or URL that it is relative to.

    >>> whole_path("en-de.tsv", "gs://bucket/corpus/")
    'gs://bucket/corpus/en-de.tsv'
    """
    if is_url(path) or not root:
        return path if is_url(path) else str(Path(path).expanduser())
    if is_url(root) and not Path(path).expanduser().is_absolute():
        return f"{root.rstrip('/')}/{path}"
    return str(Path(root).expanduser() / Path(path).expanduser())


def state(location: Location, *, now: bool = False) -> tuple[str, int, int | str]:
    """Path, size, and time or version, which identify a version of a file.

    Args:
      location: the file.
      now: asks a store, even if its list of files told it.

    Raises:
      OSError: if it does not exist.
      UserError: if a store cannot be asked.
    """
    if isinstance(location, ArchiveMember):
        _, size, version = state(location.archive, now=now)
        return str(location), size, version
    if isinstance(location, RemoteFile):
        return location.state(now=now)
    found = location.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe
        return str(location.absolute()), 0, 0
    return str(location.absolute()), found.st_size, found.st_mtime_ns


def _in_archive(archive: Location, pattern: str) -> list[ArchiveMember]:
    from fsspec.utils import glob_translate

    if isinstance(archive, ArchiveMember):
        raise UserError(f"{archive}: is an archive in an archive; unpack it")
    names = members(archive)
    if pattern in names:
        return [ArchiveMember(archive, pattern)]
    matching = re.compile(glob_translate(pattern))
    found = [ArchiveMember(archive, name) for name in sorted(names) if matching.match(name)]
    if not found:
        raise UserError(f"{archive}: has no file {pattern!r}; there are {', '.join(names[:12])}")
    return found


def _remote_files(url: str) -> list[RemoteFile]:
    file_system, path = open_file_system(url)
    file_system.invalidate_cache()
    if RemoteFile(url).is_file():
        return [RemoteFile(url)]
    if "*" not in path and (url.startswith(("http:", "https:")) or not glob.has_magic(path)):
        return []
    try:
        found = retried(lambda: file_system.glob(path, detail=True), url)
    except FileNotFoundError:  # no such bucket
        return []
    bare = path.lstrip("/")
    prefix = url.removesuffix(bare) if url.endswith(bare) else None
    files = []
    for name, info in sorted(found.items()):
        if info["type"] == "file":
            one = file_system.unstrip_protocol(name) if prefix is None else prefix + name.lstrip("/")
            files.append(RemoteFile(one, state_of(one, info) if has_tag(info) else None))
    return files
