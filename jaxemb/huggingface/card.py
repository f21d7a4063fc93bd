"""The model card: architecture, training data, scores and usage."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jaxemb.config import ModelConfig, Qwen3Config
from jaxemb.huggingface import hub
from jaxemb.huggingface.files.weights import FAMILIES as WEIGHTS_OF
from jaxemb.models import embedding_size, encoded_size


@dataclass(frozen=True)
class DataSource:
    """A source of training pairs."""

    name: str
    licence: str = ""
    pairs: int | None = None


@dataclass(frozen=True)
class CardInfo:
    """The card's contents beyond the architecture; empty fields are left out."""

    title: str = ""
    """Heading; the folder's name when empty."""
    hub_name: str = ""
    """`owner/name` of the model on the Hub; the usage example loads it instead of the folder."""
    languages: tuple[str, ...] = ()
    """BCP 47 codes of the training data."""
    licence: str | None = None
    """The model's licence, as the Hub names it (`apache-2.0`)."""
    base_model: str | None = None
    """The model that training started from; also in the front matter if it is a name on the Hub (`owner/name`, with or
    without `@COMMIT`)."""
    servers: str = ""
    """Which servers would misread the folder; set by `export`."""
    vocabulary: str = ""
    """How the vocabulary was trimmed, if it was."""
    data: tuple[DataSource, ...] = ()
    """Sources of the training pairs."""
    data_note: str = ""
    """How many of these pairs were kept."""
    command: str = ""
    """The command that trained the model."""
    command_note: str = ""
    """Notes on the command."""
    config: str = ""
    """The YAML file that the command uses."""
    scores: tuple[Mapping[str, Any], ...] = ()
    """Rows of a table; the keys of the first are its heading."""
    scores_note: str = ""
    """Describes the scores: metric, pool, split."""


def model_card(
    config: ModelConfig,
    out: Path,
    card: CardInfo | None,
    max_seq_length: int,
    pooler: bool,
    dtype: str = "float32",
    *,
    towers: bool = False,
) -> str:
    """Renders README.md.

    Args:
      config: the architecture.
      out: the folder the model is exported to; its name is the default title.
      card: the contents beyond the architecture.
      max_seq_length: longest input in tokens.
      pooler: whether the encoder's pooler is the model's dense layer, not an identity.
      dtype: type of the weights.
      towers: whether the folder has two such models.
    """
    card = card or CardInfo()
    about, usage = _about(config, max_seq_length), _usage(config, card.hub_name or out.name, towers)
    if towers:
        about += " There are two such models, one for queries (`anchor/`) and one for documents (`positive/`)."
    sections = [_front_matter(card), f"# {card.title or out.name}", about, usage]
    sections += [card.servers] if card.servers else []
    if card.vocabulary:
        sections.insert(3, f"The vocabulary is trimmed to the tokens of given texts: {card.vocabulary}.")
    if card.scores:
        sections.append("\n\n".join(filter(None, ["## Scores", card.scores_note, _table(card.scores)])))
    sections += [_training(card)] if card.data or card.command or card.base_model else []
    sections.append(_files(config, pooler, dtype, towers))
    return "\n\n".join(sections) + "\n"


def _front_matter(card: CardInfo) -> str:
    matter: dict[str, Any] = {}
    # The Hub accepts only ISO 639 codes: `pt-BR` becomes `pt`.
    if languages := sorted({re.split("[-_]", code)[0].lower() for code in card.languages}):
        matter["language"] = languages
    if card.licence:
        matter["license"] = card.licence
    base = hub.base_name(card.base_model or "")
    if hub.NAME.fullmatch(base) and not Path(base).exists():
        matter["base_model"] = base
    matter |= {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "jaxemb"],
    }
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


FAMILIES = {
    "bert": "BERT", "roberta": "RoBERTa", "xlm-roberta": "XLM-R", "camembert": "CamemBERT",
    "distilbert": "DistilBERT", "mpnet": "MPNet", "modernbert": "ModernBERT", "qwen3": "Qwen3",
}  # fmt: skip
POOLINGS = {
    "cls": "the first token's vector",
    "max": "maximum over tokens",
    "mean": "mean over tokens",
    "mean_sqrt_len_tokens": "sum over tokens by the root of their number",
    "weightedmean": "mean over tokens, weighted by position",
    "lasttoken": "the last token's vector",
}


def _about(config: ModelConfig, max_seq_length: int) -> str:
    encoder, layers = config.encoder, config.encoder.num_hidden_layers
    steps = [" beside ".join(POOLINGS[mode] for mode in config.poolings)]
    steps[0] += "" if config.include_prompt else " (the prompt left out)"
    steps += ["layer norm"] if config.layer_norm else []
    for dense in config.dense_layers:
        width = f" of {dense.out_features}" * isinstance(config.dense, tuple)
        steps.append(f"dense layer{width}" + f" with {dense.activation}" * (dense.activation != "identity"))
        steps += ["layer norm"] * dense.layer_norm + ["L2 normalisation"] * dense.normalize
    steps += ["L2 normalisation"] if config.normalize else []
    if config.truncate_dim is not None:
        steps.append(f"the first {encoded_size(config)} of {embedding_size(config)} dimensions")
    steps[-1] += f" (compare them by {config.similarity})" * (config.similarity != "cosine")
    both_ways = " that attends in both directions (transformers 5.2 or later)"
    both_ways *= isinstance(encoder, Qwen3Config) and not encoder.causal
    end = f"Input is cut at {max_seq_length} tokens."
    end += f" Texts are prefixed with `{config.prompt}`." if config.prompt else ""
    return (
        f"Sentence embeddings of {encoded_size(config)} dimensions, trained with jaxemb. "
        f"{FAMILIES[encoder.model_type]} encoder ({layers} layer{'s' * (layers != 1)}, width {encoder.hidden_size}, "
        f"{encoder.vocab_size:,} tokens){both_ways}, then {', '.join(steps)}. {end}"
    )


def _usage(config: ModelConfig, name: str, towers: bool) -> str:
    one = 'embeddings = model.encode(["A sentence.", "Une phrase."])\n'
    two = 'queries = model.encode_query(["A query?"])\ndocuments = model.encode_document(["A document.", "Another."])\n'
    text = (
        "## Usage\n\n```python\nfrom sentence_transformers import SentenceTransformer\n"
        f'model = SentenceTransformer("{name}")\n{two if towers else one}```'
    )
    if not config.prompts:
        return text
    rows = tuple({"prompt_name": prompt.name, "prompt": f"`{prompt.text}`"} for prompt in config.prompts)
    return f"{text}\n\nPrompts, chosen by `model.encode(..., prompt_name=...)`:\n\n{_table(rows)}"


def _cell(value: Any) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _table(rows: tuple[Mapping[str, Any], ...]) -> str:
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_cell(row.get(head, "")) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _training(card: CardInfo) -> str:
    parts = ["## Training"]
    if card.base_model:
        parts.append(f"Started from `{card.base_model}`.")
    if card.data:
        rows = tuple(
            {"source": s.name, "licence": s.licence or "unknown", "pairs": "" if s.pairs is None else f"{s.pairs:,}"}
            for s in card.data
        )
        parts += [_table(rows), card.data_note]
    if card.command:
        parts += [card.command_note, f"```\n{card.command}\n```"]
    if card.config:
        parts.append(f"<details><summary>config.yaml</summary>\n\n```yaml\n{card.config}```\n\n</details>")
    return "\n\n".join(filter(None, parts))


def _files(config: ModelConfig, pooler: bool, dtype: str, towers: bool) -> str:
    if pooler:
        end = ", before L2 normalisation" if config.normalize else ""
        text = f"`AutoModel`'s `pooler_output` is the embedding{end} (input padded on the right)."
    elif WEIGHTS_OF[config.encoder.model_type].pooler:
        text = (
            "The encoder's pooler is an identity weight with zero bias, there only because its class has one: "
            "do not use `AutoModel`'s `pooler_output`."
        )
    else:
        text = "`AutoModel` gives the vectors of the tokens (`last_hidden_state`), before pooling."
    where = "Of either folder (`anchor/`, `positive/`): " if towers else ""
    return f"## Without sentence-transformers\n\n{where}{text} Weights are {dtype}."
