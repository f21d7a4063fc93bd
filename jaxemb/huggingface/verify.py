"""Reloads an export and compares its embeddings with those of the exported model."""

import dataclasses
import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxemb.encoding import Embedder, Towers, count_prompt_tokens, encode
from jaxemb.errors import UserError
from jaxemb.huggingface import reference
from jaxemb.huggingface.files.modules import ROUTES
from jaxemb.huggingface.load import load_model
from jaxemb.models import SIDES, Side, in_float32, token_vectors

logger = logging.getLogger(__name__)

TOLERANCE = 1e-5
ROWS = 8  # one batch holds all over-long texts, and three shapes are compiled in all
SENTENCES = (
    "A man is playing a guitar.",
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "Grüße aus Köln: schöne Straßen, über 3.000 Läden!",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "敏捷的棕色狐狸跳过了懒狗。",
    "すばやい茶色の狐がのろまな犬を飛び越える。",
    "다람쥐 헌 쳇바퀴에 타고파",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों का नाश करने वाले राम",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "ქართული ენა ძალიან ლამაზია",
    "Emoji 🙂👩‍👩‍👧 and %(name)s, <b>markup</b>\ttabs\nlines  spaces",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    ".",
    "",
)


@dataclass(frozen=True)
class VerifyReport:
    """What was compared, and the differences."""

    differences: dict[str, float]
    """For each reader that reloaded the export, the largest absolute difference of any value of any embedding (divided
    by the length of the longest embedding if that is above 1)."""
    sentences: int
    """Number of texts: several scripts, an empty one, and some beyond the longest input."""
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        if not self.differences:
            return "not verified"
        readers = ", ".join(f"{difference:.1e} through {reader}" for reader, difference in self.differences.items())
        return f"{self.sentences} texts embedded alike: largest difference {readers} (at most {self.tolerance:.0e})"


Verifier = Callable[[Towers, Path], VerifyReport]
"""`(model, folder) -> report` of a model and the folder that it was written to; raises a UserError to keep nothing."""


def verifier(verify: Literal["auto", "jax", "torch"] | Verifier | None) -> Verifier:
    """What checks an export: `verify_export` or `verify_towers` by name, a function of one's own, or nothing for None.

    Raises: UserError, as `verify_with_torch`.
    """
    if verify is None:
        return lambda towers, folder: VerifyReport({}, 0)
    if not isinstance(verify, str):
        return verify
    verify_with_torch(verify)  # says what is not installed before the work
    return lambda towers, folder: (
        verify_export(towers.anchor, folder, verify) if towers.tied else verify_towers(towers, folder, verify)
    )


def verify_with_torch(verify: Literal["auto", "jax", "torch"]) -> bool:
    """Whether to verify with sentence-transformers; checks whether it is installed, without importing it.

    Raises: UserError if it is required and not installed.
    """
    installed = importlib.util.find_spec("sentence_transformers") is not None
    if verify == "torch" and not installed:
        raise UserError("verification through torch needs sentence-transformers: pip install sentence-transformers")
    return verify == "torch" or (verify == "auto" and installed)


def verify_export(embedder: Embedder, folder: Path, verify: Literal["auto", "jax", "torch"] = "auto") -> VerifyReport:
    """Reloads `folder` and compares embeddings in float32 at the highest matmul precision.

    Our own loader uses the same tables as the code that wrote the folder. Errors in these tables show in two readers
    that share nothing with them: a forward pass in NumPy (`huggingface.reference`), and sentence-transformers.

    Args:
      embedder: the exported model.
      folder: the exported folder.
      verify: `jax` reloads with `load_model` and NumPy only; `torch` also with sentence-transformers on the CPU; `auto`
        means `torch` if it is installed.

    Raises: UserError if a value differs by more than 1e-5, or the folder does not load; with `torch`, the message gives
      the difference after each layer.
    """
    with_torch = verify_with_torch(verify)
    config = in_float32(embedder.config)
    embedder = dataclasses.replace(embedder, config=config)
    longest = config.longest_input
    texts = [*SENTENCES, *_too_long(longest)]
    reloaded = load_model(folder)
    with jax.default_matmul_precision("highest"):
        wanted = encode(embedder, texts, batch_size=ROWS)
        found = {"jaxemb": encode(reloaded, texts, batch_size=ROWS)}
    short = [config.prompt + text for text in SENTENCES]
    # With the written tokenizer, through transformers, not with one that other threads may be using.
    tokens = reloaded.tokenizer(short, truncation=True, max_length=longest, padding=False)["input_ids"]
    prompt_tokens = count_prompt_tokens(reloaded.tokenizer, config.prompt, longest)
    found["NumPy"] = reference.embed(folder, tokens, prompt_tokens).astype(np.float32)
    if with_torch:
        version = importlib.metadata.version("sentence-transformers")
        found[f"sentence-transformers {version}"] = _encode_with_torch(folder, texts)
    else:
        logger.info("the export is verified by jaxemb's own loader and in NumPy, not by sentence-transformers")
    differences = {reader: _difference(wanted[: len(rows)], rows) for reader, rows in found.items()}
    for reader, difference in differences.items():
        if not difference <= TOLERANCE:  # so that NaN fails, too
            layers = f"\n{_layers_with_torch(embedder, reloaded, folder)}" if with_torch else ""
            raise UserError(
                f"the export does not give the model's embeddings: reloaded through {reader}, they differ by "
                f"{difference:.2g} (at most {TOLERANCE:.0e} is allowed); nothing was kept{layers}"
            )
    return VerifyReport(differences, len(texts))


def verify_towers(towers: Towers, folder: Path, verify: Literal["auto", "jax", "torch"] = "auto") -> VerifyReport:
    """Like `verify_export`, for the folder of each tower and, with `torch`, for the model of both.

    Returns: for each reader, the largest difference in any tower.
    Raises: UserError, as `verify_export`.
    """
    reports = [verify_export(getattr(towers, side), folder / side, verify) for side in SIDES]
    differences = {name: max(report.differences[name] for report in reports) for name in reports[0].differences}
    if verify_with_torch(verify):
        for side in SIDES:
            alone = _encode_with_torch(folder / side, list(SENTENCES), side)
            routed = _encode_with_torch(folder, list(SENTENCES), side)
            if not _difference(alone, routed) <= TOLERANCE:
                raise UserError(
                    f"the export does not give the model's embeddings: for {ROUTES[side]}, sentence-transformers gives "
                    f"different ones from the folder of both towers and from {side}/; nothing was kept"
                )
    return VerifyReport(differences, reports[0].sentences)


def _layers_with_torch(embedder: Embedder, reloaded: Embedder, folder: Path) -> str:
    """The differences of the token vectors after each layer, for one text."""
    import torch
    from transformers import AutoModel

    tokens = reloaded.tokenizer([SENTENCES[0]], return_tensors="np", return_token_type_ids=False)
    inputs = {name: torch.tensor(tokens[name], dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    model = AutoModel.from_pretrained(str(folder), local_files_only=True).float().eval()
    with torch.no_grad():
        theirs = [state.numpy() for state in model(**inputs, output_hidden_states=True).hidden_states]
    with jax.default_matmul_precision("highest"):
        ours = token_vectors(embedder.config, embedder.params, tokens["input_ids"], tokens["attention_mask"])
    apart = [float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True)]
    lines = (f"  {f'layer {number}' if number else 'embeddings'}: {gap:.2g}" for number, gap in enumerate(apart))
    return "largest difference of a token's vector, through transformers:\n" + "\n".join(lines)


def _too_long(tokens: int) -> list[str]:
    """Texts of more than `tokens` tokens for any tokenizer: with and without spaces."""
    return [
        " ".join(f"word {number}," for number in range(tokens)),
        "長い文章" * tokens,
        "x1 " * (tokens - 1) + "конец",
    ]


def _difference(wanted: np.ndarray, found: np.ndarray) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    longest = float(np.linalg.norm(wanted, axis=1).max())
    return float(np.abs(wanted - found).max()) / max(1.0, longest)


def _encode_with_torch(folder: Path, texts: list[str], side: Side | None = None) -> np.ndarray:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as progress

    bars = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).float()
        method = {None: model.encode, "anchor": model.encode_query, "positive": model.encode_document}[side]
        return np.asarray(method(texts, batch_size=ROWS, show_progress_bar=False), np.float32)
    finally:
        if bars:
            progress.enable_progress_bar()
