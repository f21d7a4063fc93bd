"""Settings of the losses, a class for each objective."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.encoder import EncoderConfig
from jaxemb.config.sources import Extra

Feature = Literal["u", "v", "|u-v|", "u*v"]


class _Objective(Settings):
    """What all have in common."""

    needs: ClassVar[frozenset[Extra]] = frozenset()
    """What each example must have beside two texts."""
    takes: ClassVar[frozenset[Extra]] = frozenset()
    """What it may have; anything else is of another objective."""
    retrieval: ClassVar[bool] = False
    """Whether pairs are translations (or queries and documents), of which some are held out to be found again."""

    @property
    def masks_tokens(self) -> bool:
        """Whether masked language modelling is all or part of it."""
        return False


class MaskingConfig(Settings):
    """Masked language modelling: which tokens are hidden and predicted."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """Share of a sequence's tokens, special ones aside, that are predicted: at least one (LaBSE: 0.2; BERT: 0.15). Of
    these 80 % are replaced by the mask token, 10 % by a random one, and 10 % stay."""
    max_predictions: PositiveInt = 80
    """At most so many a sequence."""
    whole_word: bool = False
    """Hide all pieces of a word or none, as in BERT: words are drawn until the number of predictions is reached, and
    one that does not fit any more is passed over."""
    vocabulary_chunk: PositiveInt = 8192
    """Entries of the vocabulary that are scored at a time."""


class _Contrastive(_Objective):
    """In-batch negatives of the global batch."""

    negatives: Literal["gather", "ring", "local"] = "gather"
    """In-batch negatives from all devices, gathered on each or passed round a ring (less memory, for large batches), or
    from each device's own part of the batch."""
    ring_chunk: PositiveInt = 1024
    """With `negatives: ring`, rows that are scored at a time against those of one device."""
    chunk: PositiveInt | None = None
    """Rows of tokens that a device embeds at a time (GradCache): any batch in the memory of one chunk, for a third more
    work. All at once when null."""
    chunk_tokens: PositiveInt | None = None
    """The same by tokens, padding included, in place of `chunk`: of longer `data.length_buckets` fewer rows."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""

    @model_validator(mode="after")
    def _check_chunks(self) -> "_Contrastive":
        if self.chunk is not None and self.chunk_tokens is not None:
            raise ValueError(
                f"chunk_tokens: {self.chunk_tokens} tokens or {self.chunk} rows (`chunk`): set one of the two"
            )
        return self


class LabseObjective(_Contrastive):
    """LaBSE's translation ranking: bidirectional additive-margin softmax over the global batch (eq. 1-3)."""

    retrieval = True
    kind: Literal["labse"] = "labse"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * (cosine - margin)."""
    margin: NonNegativeFloat = 0.3
    """Margin m taken off the positive's cosine before scaling, in training only."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum (LaBSE) of anchor->positive and positive->anchor."""


class InfoNceObjective(_Contrastive):
    """Symmetric InfoNCE over the global batch: the same without a margin."""

    retrieval = True
    kind: Literal["info_nce"] = "info_nce"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * cosine."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum of anchor->positive and positive->anchor."""


class SbertClassification(_Objective):
    """Sentence-BERT's softmax classifier over features of the two embeddings (section 3), for NLI."""

    needs = frozenset({"label"})
    kind: Literal["sbert_classification"] = "sbert_classification"
    features: tuple[Feature, ...] = ("u", "v", "|u-v|")
    """What the classifier sees of embeddings u and v, concatenated (table 6)."""
    classes: PositiveInt = 3
    """Number of classes."""
    bias: bool = True
    """Whether the classifier has a bias, as in the authors' code; the paper's equation has none."""

    @model_validator(mode="after")
    def _check(self) -> "SbertClassification":
        if not self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features: {list(self.features)}: name at least one, and each once")
        return self


class SbertRegression(_Objective):
    """Sentence-BERT's regression: mean squared error of the cosine against the score, for STS (section 3)."""

    needs = frozenset({"score"})
    kind: Literal["sbert_regression"] = "sbert_regression"


class SbertTriplet(_Objective):
    """Sentence-BERT's triplets: max(0, d(a, p) - d(a, n) + margin), d Euclidean (section 3)."""

    needs = frozenset({"negatives"})
    kind: Literal["sbert_triplet"] = "sbert_triplet"
    margin: PositiveFloat = 1.0
    """The paper's epsilon, in units of the distance."""


class _Simcse(_Contrastive):
    """What both of SimCSE's objectives have."""

    scale: PositiveFloat = 20.0
    """Inverse temperature: logits are s * cosine (the paper's temperature is 0.05)."""
    directions: Literal["one_way", "mean", "sum"] = "one_way"
    """anchor->positive alone, as in the paper, or the mean or sum with positive->anchor."""
    mlm_weight: NonNegativeFloat = 0.0
    """Weight of masked language modelling of the anchors, beside the contrastive loss (the paper: 0.1)."""
    masking: MaskingConfig = MaskingConfig(share=0.15)
    """With `mlm_weight`: which tokens are predicted."""

    @property
    def masks_tokens(self) -> bool:
        """With `mlm_weight`."""
        return self.mlm_weight > 0


class SimcseObjective(_Simcse):
    """Unsupervised SimCSE (eq. 4): a sentence is its own positive, under another dropout mask."""

    needs = frozenset({"twin"})
    kind: Literal["simcse"] = "simcse"
    ablation: Literal["shared_dropout", "no_dropout"] | None = None
    """What the paper shows to fail: the same mask for both views, or none (with dropout rates of 0)."""


def check_views(objective: SimcseObjective, encoder: EncoderConfig) -> None:
    """Unsupervised SimCSE learns from the difference of two dropout masks: raises ValueError where there is none."""
    own = getattr(encoder, "embedding_dropout", None) or 0.0  # of ModernBERT
    rates = encoder.hidden_dropout_prob, encoder.attention_probs_dropout_prob, own
    if not any(rates) and objective.ablation != "no_dropout":
        raise ValueError(
            "objective.kind: simcse has only dropout to tell a sentence from itself, and both rates of model.encoder "
            "are 0: the model would collapse; set hidden_dropout_prob to 0.1 (the paper), or "
            "`objective.ablation: no_dropout` to see it fail"
        )
    if any(rates) and objective.ablation == "no_dropout":
        raise ValueError(
            "objective.ablation: no_dropout wants model.encoder's hidden_dropout_prob and attention_probs_dropout_prob "
            "to be 0"
        )


def check_maskable(objective: "Objective", encoder: EncoderConfig) -> None:
    """Masked language modelling is of an encoder that sees both directions: raises ValueError for a causal one."""
    if objective.masks_tokens and getattr(encoder, "causal", False):
        raise ValueError(
            f"model.encoder.model_type: {encoder.model_type} sees no token after another, {objective.kind} cannot mask "
            "its tokens; set model.encoder.causal to false for an encoder that looks in both directions"
        )


class SupervisedSimcse(_Simcse):
    """Supervised SimCSE (eq. 5, 8): an entailed sentence as positive, a contradicting one as hard negative."""

    takes = frozenset({"negatives"})
    kind: Literal["supervised_simcse"] = "supervised_simcse"
    hard_negative_weight: PositiveFloat = 1.0
    """The paper's alpha: weight of a sentence's own hard negative in its softmax."""


class DistillationObjective(_Objective):
    """Multilingual knowledge distillation (Reimers & Gurevych 2020, eq. 1): a student's embeddings of a sentence and of
    its translation against a teacher's of the sentence.
    """

    retrieval = True
    kind: Literal["distillation"] = "distillation"
    teacher: str
    """MODEL whose embeddings of the anchors are learnt: a run, a folder or a name of the Hub. It is run once a text."""
    terms: Literal["both", "source", "target"] = "both"
    """student(source) and student(target), or one of them, against teacher(source)."""
    over: Literal["mean", "sum"] = "mean"
    """Mean (the authors' code) or sum (the equation) of the squared error over the dimensions."""


class MlmObjective(_Objective):
    """LaBSE's pre-training: masked language modelling of sentences (kind text), and of translation pairs as one
    sequence (TLM, Conneau & Lample 2019), in either order, without language codes.
    """

    takes = frozenset({"twin"})
    retrieval = True
    kind: Literal["mlm"] = "mlm"
    masking: MaskingConfig = MaskingConfig()
    """Which tokens are predicted."""

    @property
    def masks_tokens(self) -> bool:
        """That is all it does."""
        return True


class CustomObjective(_Objective):
    """A function passed to `jaxemb.train(config, objective=...)`, over examples of any kind."""

    takes = frozenset({"label", "score", "negatives", "twin"})
    retrieval = True
    kind: Literal["custom"] = "custom"


Objective = Annotated[
    LabseObjective
    | InfoNceObjective
    | SbertClassification
    | SbertRegression
    | SbertTriplet
    | SimcseObjective
    | SupervisedSimcse
    | DistillationObjective
    | MlmObjective
    | CustomObjective,
    Field(discriminator="kind"),
]
