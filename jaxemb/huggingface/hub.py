"""Models by their name on the Hugging Face Hub, `owner/name` or `owner/name@revision`: fetched, or found in its cache.

Nothing is fetched while `HF_HUB_OFFLINE=1` is set; the command line sets it unless the user has set the variable.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from jaxemb.errors import UserError

logger = logging.getLogger(__name__)

_PART = r"\w[\w-]*(?:\.[\w-]+)*"
NAME = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_MODEL = re.compile(rf"({NAME.pattern})(?:@(\w[\w./-]*))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
_OF_RUN = re.compile(r"best|\d{1,39}")
"""`RUN@best`, `RUN@STEP`: never a revision."""
_CONFIGS = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "sentence_*_config.json",
    "config_sentence_transformers.json", "adapter_config.json",
)  # fmt: skip
_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_ADAPTER = "adapter_model.safetensors"
_FLAX = "flax_model.msgpack"
_MODULE = "[0-9]_*/"
"""Folder of a sentence-transformers module."""
_TOWERS = ("anchor/", "positive/", "query_[0-9]_*/", "document_[0-9]_*/")
"""Folders of the modules of a `Router`, with our names and with those of sentence-transformers."""
_FOLDERS = ("", _MODULE, *_TOWERS, *(tower + _MODULE for tower in _TOWERS[:2]))
FILES = [folder + name for folder in _FOLDERS for name in (*_CONFIGS, *_SAFETENSORS, _ADAPTER)]
FILES += ["modules.json", "router_config.json"]
"""The files to fetch; without safetensors, also Flax weights. No pickles and no code."""
FLAX_FILES = [_FLAX, _MODULE + _FLAX]
TIMEOUT = 8.0
"""Seconds until the Hub counts as unreachable."""


@dataclass(frozen=True)
class Snapshot:
    """A model of the Hub in the local cache."""

    name: str
    """`owner/name`."""
    commit: str
    """40 hexadecimal digits."""
    folder: Path

    @property
    def pinned(self) -> str:
        """`owner/name@COMMIT`, which always means this model."""
        return f"{self.name}@{self.commit}"


def parse(model: str | Path) -> tuple[str, str | None] | None:
    """(`owner/name`, revision or None), if `model` looks like that and is not an existing path.

    >>> parse("owner/name@v1.0"), parse("owner/name@best"), parse("./owner/name")
    (('owner/name', 'v1.0'), None, None)
    """
    found = _MODEL.fullmatch(str(model))
    if found is None or Path(model).exists():
        return None
    name, revision = found.groups()
    if revision is not None and (_OF_RUN.fullmatch(revision) or ".." in revision):
        return None
    return name, revision


def base_name(model: str) -> str:
    """`model` without the commit that it is pinned to."""
    name, _, revision = model.partition("@")
    return name if COMMIT.fullmatch(revision) else model


def fetch(model: str | Path) -> Snapshot:
    """Fetches a model of the Hub into its cache, or finds it there if offline or if the Hub cannot be reached.

    Args:
      model: a name that `parse` accepts.

    Raises: UserError if it is not found, may not be read or has no weights that we can read; at once if offline, and
      within seconds if there is no network.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    parsed = parse(model)
    assert parsed is not None
    name, revision = parsed
    at = f" --revision {revision}" * (revision is not None)
    beforehand = f"fetch it beforehand (`hf download {name}{at}`)"
    if constants.HF_HUB_OFFLINE:
        if (folder := cached(name, revision)) is None:
            raise UserError(
                f"{model}: no such directory, and not, or not completely, in the local cache of the Hub "
                f"({constants.HF_HUB_CACHE}); the network is off by default: allow it "
                f"(`HF_HUB_OFFLINE=0 jaxemb ...`) or {beforehand}"
            )
    else:
        try:
            folder = _download(name, revision)
        except GatedRepoError:
            raise UserError(
                f"{model}: is gated: accept its terms at {constants.ENDPOINT}/{name}, then log in (`hf auth login`)"
            ) from None
        except RepositoryNotFoundError:
            raise UserError(
                f"{model}: no such directory, and the Hub has no public model of this name; if it is private, log in "
                "(`hf auth login`)"
            ) from None
        except RevisionNotFoundError:
            raise UserError(f"{model}: the Hub has {name}, but no revision {revision!r} of it") from None
        except HFValidationError as error:
            raise UserError(f"{model}: no such directory, and not a valid name of the Hub: {error}") from None
        except Exception as error:  # of httpx or httpx2, depending on huggingface_hub's version
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
            if (folder := cached(name, revision)) is None:
                raise UserError(
                    f"{model}: no such directory, and it cannot be fetched from {constants.ENDPOINT} ({reason}); "
                    f"try again, or {beforehand} on a machine with a network"
                ) from error
            logger.warning(
                "%s: taken from the local cache, because %s cannot be reached (%s)", model, constants.ENDPOINT, reason
            )
    if not _has(folder, *_SAFETENSORS, _ADAPTER, _FLAX):
        raise UserError(
            f"{model}: has neither safetensors nor Flax weights; pickles (*.bin) are not read, because they can run "
            "arbitrary code"
        )
    return Snapshot(name, folder.name, folder)


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download

    # snapshot_download alone would wait minutes for a host that does not answer.
    HfApi().model_info(name, revision=revision, timeout=TIMEOUT)

    def snapshot(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=constants.HF_HUB_CACHE,
                etag_timeout=TIMEOUT,
                allow_patterns=patterns,
            )
        )

    folder = snapshot(FILES)
    return folder if _has(folder, *_SAFETENSORS, _ADAPTER) else snapshot(FLAX_FILES)


def cached(name: str, revision: str | None) -> Path | None:
    """The folder of a model in the Hub's cache, None if it is not there; uses no network."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name, revision=revision, cache_dir=constants.HF_HUB_CACHE, local_files_only=True, allow_patterns=FILES
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(folder)


def _has(folder: Path, *names: str) -> bool:
    """Whether such a file is in the folder itself, in that of the first module, or in that of a tower."""
    prefixes = ("", "0_*/", "anchor/", "query_0_*/")
    return any(next(folder.glob(prefix + name), None) for prefix in prefixes for name in names)
