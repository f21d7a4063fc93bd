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
    """Finds out before the work whether an upload to `name` can begin: its form, the network, the token.

    Raises: UsageError if `name` is not `owner/name`; UserError if the network is not allowed or there is no token, or
      the Hub does not take it.
    """
    api = _api(name)
    with _errors(name, None):
        api.whoami()


def _api(name: str) -> "HfApi":
    """The Hub, with the token of this user.

    Raises: UsageError, UserError, as `check_may_push`.
    """
    from huggingface_hub import HfApi, constants, get_token

    if not hub.NAME.fullmatch(name):
        raise UsageError(f"{name!r}: give the owner and the name of the model on the Hub, `owner/name`")
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            "HF_HUB_OFFLINE is set, which allows no network: unset it to upload (`HF_HUB_OFFLINE=0 jaxemb push ...`)"
        )
    if (token := get_token()) is None:
        raise UserError(
            f"no token of the Hub: log in (`hf auth login`) or set HF_TOKEN to one that may write to {name} "
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
    """Uploads `folder` to `name`, which is made if it does not exist, in one commit: all files or none.

    The token is that of huggingface_hub: `HF_TOKEN`, or that of `hf auth login`. Files that are there already and not
    in `folder` stay.

    Args:
      folder: what `export` wrote.
      name: `owner/name`.
      private: whether a new repository is private; None takes the owner's default, which is public for most. One that
        exists keeps its visibility.
      revision: a branch, made if it does not exist; `main` when None.
      commit_message: what the commit says.

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
    """Says what the Hub means, and what to do about it."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{name}: no name of the Hub: {error}") from None
    except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(f"{name}: {error}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise UserError(f"{name}: {_meaning(status, name, revision)}{_said(error)}") from error
    except ValueError as error:  # of the model card's front matter: an unknown licence, say
        raise UserError(f"{name}: the Hub refuses the upload: {_in_one_line(error)}") from error
    except Exception as error:  # of httpx or httpx2, by the version of huggingface_hub, and of an upload's threads
        cause = error.__cause__ or error
        line = f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no details'}"
        raise UserError(f"{name}: cannot be uploaded to {constants.ENDPOINT} ({line}); try again") from error


def _meaning(status: int, name: str, revision: str | None) -> str:
    owner = name.split("/")[0]
    if status == 401:
        return "the Hub does not take the token (is it expired or revoked?): log in again (`hf auth login`)"
    if status == 403:
        return f"the token may not write there: take one with write access to what {owner} owns"
    if status == 404:
        branch = f" or no branch {revision!r}" if revision is not None else ""
        return f"the Hub has no owner {owner!r}{branch}, or the token may not see it"
    return f"the Hub refuses the upload (status {status})"


def _said(error: Exception) -> str:
    """What the Hub said itself, in one line."""
    said = getattr(error, "server_message", None) or ""
    line = _in_one_line(said)
    return f" ({line})" if line else ""


def _in_one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).strip()
