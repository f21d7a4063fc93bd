"""Runs behind a URL."""

from pathlib import Path

from jaxemb.errors import UsageError


def is_remote(output_dir: str) -> bool:
    """Whether it is a URL."""
    return "://" in output_dir


def check_local(model: str | Path) -> None:
    """Raises UsageError if a model or run to read is a URL."""
    if is_remote(str(model)):
        raise UsageError(
            f"{model}: is not on this machine. A finished run, or its export/, is whole at its URL: copy it here "
            "(`gcloud storage cp --recursive`, `aws s3 cp --recursive`) and name the copy"
        )
