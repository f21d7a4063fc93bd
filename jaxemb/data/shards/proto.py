"""The bytes of a `tf.train.Example` in Protocol Buffers' format, written and read without the library.

An example is a map from names to lists of bytes, of floats or of integers. Every list here has one body: one string of
bytes, one float, or integers one after the other.
"""

BYTES, FLOATS, INTEGERS = b"\x0a", b"\x12", b"\x1a"
"""The kinds of lists."""


def example_of(entries: list[tuple[bytes, bytes]]) -> bytes:
    """The example with these entries (`name_of`, `list_of`), in this order."""
    parts = [b"\x0a" + varint(len(name) + len(value)) + name + value for name, value in entries]
    features = b"".join(parts)
    return b"\x0a" + varint(len(features)) + features


def name_of(name: str) -> bytes:
    """The first part of an entry."""
    return b"\x0a" + bytes([len(name)]) + name.encode()


def list_of(kind: bytes, body: bytes) -> bytes:
    """The second part of an entry: a list of this kind with this body."""
    listed = b"\x0a" + varint(len(body)) + body if body else b""
    feature = kind + varint(len(listed)) + listed
    return b"\x12" + varint(len(feature)) + feature


def entries_of(data: bytes) -> list[tuple[bytes, bytes]]:
    r"""Names and bodies of the entries of an example that `example_of` made.

    Raises:
      ValueError: if `data` is not complete.

    >>> entries_of(example_of([(name_of("label"), list_of(INTEGERS, varint(300)))]))
    [(b'label', b'\xac\x02')]
    """
    entries = []
    try:
        size, at = read_varint(data, 1)
        end = at + size
        while at < end:
            size, at = data[at + 1], at + 2
            if size > 127:
                size, at = read_varint(data, at - 1)
            stop = at + size
            begin = at + 2 + data[at + 1]
            # The headers of value, feature and list are two bytes each if each of their sizes takes one.
            body = begin + 6 if stop - begin < 130 else _behind_headers(data, begin)
            entries.append((data[at + 2 : begin], data[body:stop]))
            at = stop
    except IndexError:
        at = -1
    if at != len(data):
        raise ValueError(f"{len(data)} bytes are not an example")
    return entries


def varint(value: int) -> bytes:
    """A non-negative integer, 7 bits a byte."""
    if value < 128:
        return _SHORT[value]
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SHORT = [bytes([value]) for value in range(128)]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer at this position, and the position behind it.

    Raises:
      IndexError: if it is not complete.
    """
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _behind_headers(data: bytes, at: int) -> int:
    for _ in range(3):
        _, at = read_varint(data, at + 1)
    return at
