"""Members of ZIP archives, which are read where they lie: `zip://MEMBER::ARCHIVE`, as fsspec writes it."""

import dataclasses
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

from jaxemb.errors import UserError
from jaxemb.readers.remote import RemoteFile

_SHOWN = 12
_ABOUT = ("readme", "license", "licence", "copying")
"""Files of OPUS's archives that are about the texts."""


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file in an archive, with the methods of a `pathlib.Path` that readers use."""

    archive: Path | RemoteFile
    member: str

    def __str__(self) -> str:
        return f"zip://{self.member}::{self.archive}"

    @property
    def name(self) -> str:
        """The member's name without its folder."""
        return self.member.rpartition("/")[2]

    def with_name(self, name: str) -> "ArchiveMember":
        """The member of this name in the same folder."""
        folder, slash, _ = self.member.rpartition("/")
        return ArchiveMember(self.archive, f"{folder}{slash}{name}")

    def is_file(self) -> bool:
        """Whether the archive has it.

        Raises:
          UserError: if the archive cannot be read.
        """
        return self.member in members(self.archive)

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens it for reading bytes.

        Raises, here or while reading:
          FileNotFoundError: if there is no such archive.
          zipfile.BadZipFile, zlib.error, EOFError: if the archive is truncated or corrupt.
          UserError: if it has no such member, or it is encrypted.
        """
        assert mode == "rb"
        file = self.archive.open("rb")
        try:
            return open_member(file, self.member, str(self.archive))
        except BaseException:
            file.close()
            raise


def members(archive: Path | RemoteFile) -> list[str]:
    """The names of an archive's files, without folders.

    Raises:
      UserError: if it cannot be read or is no archive.
    """
    try:
        with archive.open("rb") as file:
            return _names(file)
    except FileNotFoundError:
        raise UserError(f"{archive}: no such file") from None
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{archive}: is no ZIP archive, or is truncated or corrupt ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror or error})") from error


def open_member(file: Any, member: str | None, archive: str) -> io.BufferedReader:
    """Opens a member of an open archive; closing it closes the archive.

    Args:
      file: the archive.
      member: its name; None for the only file that is not about the others (README, LICENSE).
      archive: name of the archive, for messages.

    Raises:
      zipfile.BadZipFile: if it is truncated or corrupt.
      UserError: if there is no such member, there are several and none is named, or it is encrypted.
    """
    if not file.seekable():
        raise UserError(
            f"{archive}: is a ZIP archive on a server that sends it only from its beginning; fetch it first"
        )
    names = _names(file)
    texts = [name for name in names if not name.rpartition("/")[2].lower().startswith(_ABOUT)]
    if member is None and len(texts) == 1:
        member = texts[0]
    if member is None or member not in names:
        what = f"has no file {member!r}" if member is not None else f"is a ZIP archive of {len(names)} files"
        raise UserError(f"{archive}: {what}; name one of them, as in zip://MEMBER::{archive}: {_listed(names)}")
    try:
        opened = zipfile.ZipFile(file).open(member)  # noqa: SIM115
    except (
        RuntimeError,
        NotImplementedError,
        UnicodeDecodeError,
    ) as error:  # encrypted; a compression that Python does not have
        raise UserError(f"{archive}: {member} cannot be read ({error}); unpack it") from error
    return io.BufferedReader(_Member(opened, file))


def _names(file: Any) -> list[str]:
    try:
        names = zipfile.ZipFile(file).namelist()
    except (NotImplementedError, UnicodeDecodeError, struct.error) as error:  # a later version; damaged names
        raise zipfile.BadZipFile(str(error)) from error
    return [
        name for name in names if name and not name.startswith("__MACOSX/") and not name.endswith(("/", ".DS_Store"))
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


class _Member(io.RawIOBase):
    """The bytes of a member, which holds its archive open."""

    def __init__(self, member: Any, archive: Any) -> None:
        self._member, self._archive = member, archive

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._member.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._member.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        data = self._member.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._member.close()
        self._archive.close()
        super().close()
