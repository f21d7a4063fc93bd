"""Folders of models that a test changes."""

import json

TEXTS = ["A man plays.", "Съешь же ещё", "", "x " * 100]


def edit(path, **changes):
    content = json.loads(path.read_text())
    content |= changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
