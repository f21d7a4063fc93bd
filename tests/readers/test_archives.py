import zipfile

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.archives import ArchiveMember, members
from jaxemb.readers.lines import read_lines
from jaxemb.readers.locations import state


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "opus.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("moses/Tatoeba.de-en.de", "Ein Hund\n")
        file.writestr("moses/Tatoeba.de-en.en", "A dog\n")
    return path


def test_a_member_is_like_a_file(archive):
    member = ArchiveMember(archive, "moses/Tatoeba.de-en.de")
    assert (str(member), member.name) == (f"zip://moses/Tatoeba.de-en.de::{archive}", "Tatoeba.de-en.de")
    assert list(read_lines(member)) == ["Ein Hund"]
    other = member.with_name("Tatoeba.de-en.en")
    assert other.is_file()
    assert list(read_lines(other)) == ["A dog"]
    assert not member.with_name("x").is_file()
    assert state(member)[1:] == state(archive)[1:]
    with member.open() as file:
        assert (file.seek(4), file.read(4), file.tell()) == (4, b"Hund", 8)


def test_errors(archive, tmp_path):
    with pytest.raises(UserError, match=r"opus\.zip: has no file 'x'; name one of them.*: moses/Tatoeba\.de-en\.de"):
        list(read_lines(ArchiveMember(archive, "x")))
    with pytest.raises(UserError, match="gone: no such file"):
        members(tmp_path / "gone")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(UserError, match="is no ZIP archive, or is truncated"):
        members(tmp_path / "text.zip")
    with pytest.raises(UserError, match="cannot be read"):
        members(tmp_path)


def test_an_encrypted_member(archive):
    data = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag "encrypted" of both headers
        data[data.index(signature) + place] |= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"Tatoeba\.de-en\.de cannot be read \(.*password.*\); unpack it"):
        list(read_lines(ArchiveMember(archive, "moses/Tatoeba.de-en.de")))
