"""Our embedders as MTEB models: `mteb.evaluate(MtebModel(embedder), tasks)`. mteb is imported when one is made."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, get_args

import jax
import numpy as np
from jaxtyping import Float32

from jaxemb.encoding import Embedder, Towers, encode
from jaxemb.encoding.fingerprint import fingerprint
from jaxemb.encoding.towers import as_towers
from jaxemb.errors import UserError
from jaxemb.models import encoded_size
from jaxemb.texts import as_texts

SIMILARITIES = {"cosine": "cos_sim", "dot": "dot_score", "euclidean": "euclidean_sim"}
"""Our names of similarities -> mteb's functions."""


class MtebModel:
    """What `mteb.evaluate` takes: an mteb `EncoderProtocol` around an embedder.

    The prompt of a call is that of `prompts` whose key fits best, in mteb's order: `TASK-query` or `TASK-document`, the
    task's name, `TYPE-query` or `TYPE-document`, the task's type (`Retrieval`), `query` or `document`. It stands in
    place of the embedder's own `config.prompt`, which counts where no key fits.
    """

    def __init__(
        self,
        embedder: Embedder | Towers,
        *,
        name: str = "jaxemb/embedder",
        revision: str | None = None,
        prompts: Mapping[str, str] | None = None,
    ) -> None:
        """Describes the embedder to mteb.

        Args:
          embedder: from `jaxemb.load`, say; or two towers, from `jaxemb.loading.load_towers`: that of the positives
            embeds what mteb calls documents, and that of the anchors everything else.
          name: `ORGANIZATION/MODEL`, under which mteb files results.
          revision: which one of that name. mteb gives the results that it has of a name and revision again instead of
            computing them; so None stands for a hash of what changes a score: the weights, the tokenizer, the settings
            that change an embedding (`jaxemb.encoding.fingerprint`), `similarity` and `prompts`.
          prompts: text before every input, by the keys above.

        Raises:
          UserError: if mteb is missing or too old, the name has no organization, or a key of `prompts` looks misspelt.
        """
        mteb = _import_mteb()
        if name.count("/") != 1 or not all(name.split("/")):
            raise UserError(f"name is {name!r}: mteb wants ORGANIZATION/MODEL, such as 'jaxemb/{name.split('/')[-1]}'")
        self._towers = towers = as_towers(embedder).map(Embedder.merged)
        self.model_prompts = dict(prompts) if prompts is not None else None
        """As `prompts`; by this name mteb's helper reads them."""
        _check_keys(self.model_prompts or {})
        config = towers.anchor.config
        leaves = jax.tree.leaves([tower.params for tower in towers.embedders])
        self.mteb_model_meta = mteb.models.ModelMeta(
            name=name,
            revision=_revision(towers, self.model_prompts) if revision is None else revision,
            loader=None,
            release_date=None,
            languages=None,
            n_parameters=sum(leaf.size for leaf in leaves),
            memory_usage_mb=sum(leaf.nbytes for leaf in leaves) / 2**20,
            max_tokens=config.longest_input,
            embed_dim=encoded_size(config),
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["JAX"] if "JAX" in get_args(mteb.models.model_meta.FRAMEWORKS) else [],
            similarity_fn_name=mteb.models.model_meta.ScoringFunction(config.similarity),
            use_instructions=bool(prompts or config.prompt),
            training_datasets=None,
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: Any = None,
        batch_size: int = 64,
        show_progress_bar: bool = False,
        precision: str = "float32",
        **kwargs: Any,
    ) -> Float32[np.ndarray, "N E"]:
        """Embeds the texts of mteb's batches.

        Args:
          inputs: batches with the texts under `text`: a DataLoader.
          task_metadata: the task, whose name and type choose the prompt.
          hf_split: the split; it changes nothing.
          hf_subset: the subset, a language, say; it changes nothing.
          prompt_type: mteb's `PromptType.query`, `PromptType.document` or None.
          batch_size: as for `jaxemb.encoding.encode`.
          show_progress_bar: shows a bar on stderr.
          precision: `float32`.
          kwargs: what later versions of mteb may add; it changes nothing.

        Returns: one embedding a row, in the order of the texts.
        Raises: UserError if there are inputs without text, or a text is no string, or another precision is asked for.
        """
        if precision != "float32":
            raise UserError(f"precision {precision!r} is not supported: embeddings are float32")
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                raise UserError(f"{task_metadata.name}: its inputs hold {', '.join(batch)} but no text")
            texts += as_texts(batch["text"], f"{task_metadata.name}: text")
        document = getattr(prompt_type, "value", prompt_type) == "document"
        tower = self._towers.positive if document else self._towers.anchor
        embedder = tower.with_prompt(self.prompt(task_metadata, prompt_type))
        return encode(embedder, texts, batch_size=batch_size, show_progress=show_progress_bar)

    def prompt(self, task_metadata: Any, prompt_type: Any = None) -> str | None:
        """The prompt that `prompts` has for a task and prompt type; None where the embedder's own counts."""
        abs_encoder = _import_mteb().models.abs_encoder.AbsEncoder
        key = abs_encoder.get_prompt_name(self, task_metadata, prompt_type)
        return None if key is None or self.model_prompts is None else self.model_prompts[key]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """`config.similarity` of each row of [N, E] with each row of [M, E]: a torch tensor [N, M]; a distance is taken
        times -1.
        """
        if (kind := self._towers.anchor.config.similarity) == "manhattan":  # mteb has none
            import torch

            return -torch.cdist(torch.as_tensor(embeddings1), torch.as_tensor(embeddings2), p=1.0)
        return getattr(_import_mteb().similarity_functions, SIMILARITIES[kind])(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The same of each row of [N, E] with the same row of another [N, E]: a torch tensor [N]."""
        if (kind := self._towers.anchor.config.similarity) == "manhattan":
            import torch

            return -(torch.as_tensor(embeddings1) - torch.as_tensor(embeddings2)).abs().sum(dim=-1)
        return getattr(_import_mteb().similarity_functions, f"pairwise_{SIMILARITIES[kind]}")(embeddings1, embeddings2)


def _import_mteb() -> ModuleType:
    try:
        import mteb
        import mteb.models.abs_encoder
        import mteb.similarity_functions
        import mteb.types
    except ImportError as error:
        raise UserError(f"mteb is missing or too old ({error}): pip install 'jaxemb[mteb]'") from error
    return mteb


def _check_keys(prompts: Mapping[str, str]) -> None:
    """Refuses nearly right prompt types and task types in the wrong case, which mteb would silently leave unused.

    Names of tasks are not checked: a task need not be one of mteb's own.
    """
    from mteb.abstasks.task_metadata import TaskType
    from mteb.types import PromptType

    prompt_types = [kind.value for kind in PromptType]
    right = [*prompt_types, *get_args(TaskType)]
    by_lower = {word.lower(): word for word in right} | {"passage": "document"}
    for key in prompts:
        stem, dash, ending = key.rpartition("-")
        compound = dash and ending in (*prompt_types, "passage")
        for word in (stem, ending) if compound else (key,):
            near = difflib.get_close_matches(word.lower(), prompt_types, n=1, cutoff=0.8)
            meant = by_lower.get(word.lower()) or next(iter(near), word)
            if word not in right and meant != word:
                raise UserError(f"prompts: mteb knows no {word!r} (in {key!r}); did you mean {meant!r}?")


def _revision(towers: Towers, prompts: Mapping[str, str] | None) -> str:
    """40 hexadecimal digits that change with anything that changes a score: an embedding, or how they are compared."""
    embedders = [fingerprint(embedder) for embedder in towers.embedders]
    values = [embedders, prompts, towers.anchor.config.similarity]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:40]
