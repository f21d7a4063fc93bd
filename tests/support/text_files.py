"""Files of texts, plain or compressed."""

import gzip

TEXTS = ["one", "", "Съешь же", " three\tfour "[:6], "敏捷的", "last"]


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


LINES = "\n".join(TEXTS) + "\n"
