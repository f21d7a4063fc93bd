"""`jaxemb push`."""

import os

from jaxemb.cli import main


def test_this_command_alone_uses_the_network_unasked(monkeypatch, exported):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    seen = {}
    monkeypatch.setattr(
        "jaxemb.cli._run", lambda command, argv: seen.update({command: os.environ.get("HF_HUB_OFFLINE")}) or 0
    )
    main(["push", str(exported), "owner/little"])
    assert seen == {"push": None}
    main(["export", str(exported), "out"])
    assert seen["export"] == "1"
    monkeypatch.delenv("HF_HUB_OFFLINE")
