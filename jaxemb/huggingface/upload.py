"""Uploads an exported folder to the Hugging Face Hub, as one commit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from jaxemb.errors import UsageError, UserError
from jaxemb.huggingface import hub

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check_may_push(name: str) -> None:
    """Checks before the work whether an upload to `name` is possible: the name, the network, the token.

    Raises: UsageError if `name` is not `owner/name`; UserError if the network is not allowed, there is no token, or the
      Hub rejects it.
    """
    api = _api(name)
    with _errors(name, None):
        api.whoami()


def _api(name: str) -> "HfApi":
    """The Hub's API, with the user's token.

    Raises: UsageError, UserError, as `check_may_push`.
    """
    from huggingface_hub import HfApi, constants, get_token

    if not hub.NAME.fullmatch(name):
        raise UsageError(f"{name!r}: give the owner and the name of the model on the Hub, `owner/name`")
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE forbids the network: unset it to upload (`HF_HUB_OFFLINE=0 jaxemb push ...`)")
    if (token := get_token()) is None:
        raise UserError(
            f"no Hub token: log in (`hf auth login`) or set HF_TOKEN to one that may write to {name} "
            f"({constants.ENDPOINT}/settings/tokens)"
        )
    return HfApi(token=token, library_name="jaxemb", library_version=version("jaxemb"))


def push(
    folder: str | Path,
    name: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
) -> str:
    """Uploads `folder` to the repository `name`, which is created if missing, in one commit: all files or none.

    The token is `HF_TOKEN` or the one of `hf auth login`. Files in the repository that are not in `folder` stay.

    Args:
      folder: the output of `export`.
      name: `owner/name`.
      private: whether a new repository is private; None means the owner's default, mostly public. An existing
        repository keeps its visibility.
      revision: a branch, created if missing; `main` when None.
      commit_message: message of the commit.

    Returns: the address of the commit.
    Raises: as `check_may_push`; UserError if the token may not write there, or the Hub refuses a file or cannot be
      reached.
    """
    api = _api(name)
    with _errors(name, revision):
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            revision=revision,
            commit_message=commit_message or f"Export by jaxemb {version('jaxemb')}",
        )
    return str(done.commit_url)


@contextmanager
def _errors(name: str, revision: str | None) -> Iterator[None]:
    """Turns errors of the Hub into messages that say what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{name}: not a valid name of the Hub: {error}") from None
    except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(f"{name}: {error}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise UserError(f"{name}: {_meaning(status, name, revision)}{_said(error)}") from error
    except ValueError as error:  # of the model card's front matter, such as an unknown licence
        raise UserError(f"{name}: the Hub refuses the upload: {_in_one_line(error)}") from error
    except Exception as error:  # of httpx or httpx2, and of upload threads
        cause = error.__cause__ or error
        line = f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no details'}"
        raise UserError(f"{name}: cannot be uploaded to {constants.ENDPOINT} ({line}); try again") from error


def _meaning(status: int, name: str, revision: str | None) -> str:
    owner = name.split("/")[0]
    if status == 401:
        return "the Hub rejects the token (is it expired or revoked?): log in again (`hf auth login`)"
    if status == 403:
        return f"the token may not write there: use one with write access to the repositories of {owner}"
    if status == 404:
        branch = f" or no branch {revision!r}" if revision is not None else ""
        return f"the Hub has no owner {owner!r}{branch}, or the token may not see it"
    return f"the Hub refuses the upload (status {status})"


def _said(error: Exception) -> str:
    """The Hub's own message, in one line."""
    said = getattr(error, "server_message", None) or ""
    line = _in_one_line(said)
    return f" ({line})" if line else ""


def _in_one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).strip()
