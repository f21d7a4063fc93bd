"""Settings of the losses, a class for each objective."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.encoder import EncoderConfig
from jaxemb.config.sources import Extra

Feature = Literal["u", "v", "|u-v|", "u*v"]


class _Objective(Settings):
    """Base of all objectives."""

    needs: ClassVar[frozenset[Extra]] = frozenset()
    """What each example must have in addition to two texts."""
    takes: ClassVar[frozenset[Extra]] = frozenset()
    """What examples may have in addition; sources that give anything else are refused."""
    retrieval: ClassVar[bool] = False
    """Whether pairs are translations (or queries and documents), so that some can be held out for retrieval."""

    @property
    def masks_tokens(self) -> bool:
        """Whether the loss is, or includes, masked language modelling."""
        return False


class MaskingConfig(Settings):
    """Masked language modelling: which tokens are masked and predicted."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """Share of a sequence's tokens that are predicted, special tokens aside, and at least one (LaBSE: 0.2; BERT: 0.15).
    Of these tokens, 80 % are replaced by the mask token, 10 % by a random one, and 10 % stay unchanged."""
    max_predictions: PositiveInt = 80
    """Most predictions in a sequence."""
    whole_word: bool = False
    """Mask all pieces of a word or none, as in BERT: words are drawn until the number of predictions is reached; a word
    with more pieces than are left is skipped."""
    vocabulary_chunk: PositiveInt = 8192
    """Entries of the vocabulary that are scored at a time."""


class _Contrastive(_Objective):
    """In-batch negatives of the global batch."""

    negatives: Literal["gather", "ring", "local"] = "gather"
    """`gather`: in-batch negatives from all devices, gathered on each. `ring`: the same negatives, passed round a ring
    of devices (less memory, for large batches). `local`: only negatives from a device's own shard of the batch."""
    ring_chunk: PositiveInt = 1024
    """With `negatives: ring`: number of rows that a device scores at a time against the rows of another."""
    chunk: PositiveInt | None = None
    """Rows of tokens that a device embeds at a time (GradCache). A batch of any size then needs the memory of one
    chunk, for a third more work. null: all rows at once."""
    chunk_tokens: PositiveInt | None = None
    """The size of a chunk in tokens, padding included, instead of in rows (`chunk`): the longer the bucket of
    `data.length_buckets`, the fewer rows."""
    mask_duplicates: bool = True
    """Pairs of the global batch that share an anchor or a positive text are not negatives of each other."""

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
    """Margin m subtracted from the positive's cosine before scaling, in training only."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum (LaBSE) of anchor->positive and positive->anchor."""


class InfoNceObjective(_Contrastive):
    """Symmetric InfoNCE over the global batch: the loss of `labse` without a margin."""

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
    """Features of the embeddings u and v that are concatenated as the classifier's input (table 6)."""
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
    """Settings of both SimCSE objectives."""

    scale: PositiveFloat = 20.0
    """Inverse temperature: logits are s * cosine (the paper's temperature is 0.05)."""
    directions: Literal["one_way", "mean", "sum"] = "one_way"
    """Only anchor->positive, as in the paper, or its mean or sum with positive->anchor."""
    mlm_weight: NonNegativeFloat = 0.0
    """Weight of masked language modelling of the anchors, added to the contrastive loss (the paper: 0.1)."""
    masking: MaskingConfig = MaskingConfig(share=0.15)
    """With `mlm_weight`: which tokens are predicted."""

    @property
    def masks_tokens(self) -> bool:
        """True with `mlm_weight`."""
        return self.mlm_weight > 0


class SimcseObjective(_Simcse):
    """Unsupervised SimCSE (eq. 4): the positive is the same sentence under another dropout mask."""

    needs = frozenset({"twin"})
    kind: Literal["simcse"] = "simcse"
    ablation: Literal["shared_dropout", "no_dropout"] | None = None
    """Variants that the paper shows to fail: the same dropout mask for both views, or none (dropout rates of 0)."""


def check_views(objective: SimcseObjective, encoder: EncoderConfig) -> None:
    """Raises ValueError if the two dropout masks that unsupervised SimCSE learns from would not differ."""
    own = getattr(encoder, "embedding_dropout", None) or 0.0  # of ModernBERT
    rates = encoder.hidden_dropout_prob, encoder.attention_probs_dropout_prob, own
    if not any(rates) and objective.ablation != "no_dropout":
        raise ValueError(
            "objective.kind: simcse needs dropout, the only difference between the two views of a sentence, but both "
            "dropout rates of model.encoder are 0: the model would collapse; set hidden_dropout_prob to 0.1 (the "
            "paper), or `objective.ablation: no_dropout` to see it fail"
        )
    if any(rates) and objective.ablation == "no_dropout":
        raise ValueError(
            "objective.ablation: no_dropout needs model.encoder's hidden_dropout_prob and attention_probs_dropout_prob "
            "to be 0"
        )


def check_maskable(objective: "Objective", encoder: EncoderConfig) -> None:
    """Raises ValueError for masked language modelling with a causal encoder: it needs bidirectional attention."""
    if objective.masks_tokens and getattr(encoder, "causal", False):
        raise ValueError(
            f"model.encoder.model_type: {encoder.model_type} attends to earlier tokens only, so {objective.kind} "
            "cannot mask its tokens; set model.encoder.causal to false, which makes attention bidirectional"
        )


class SupervisedSimcse(_Simcse):
    """Supervised SimCSE (eq. 5, 8): an entailed sentence as positive, a contradicting one as hard negative."""

    takes = frozenset({"negatives"})
    kind: Literal["supervised_simcse"] = "supervised_simcse"
    hard_negative_weight: PositiveFloat = 1.0
    """The paper's alpha: weight of an anchor's own hard negative in its softmax."""


class DistillationObjective(_Objective):
    """Multilingual knowledge distillation (Reimers & Gurevych 2020, eq. 1): the student's embeddings of a sentence and
    of its translation learn the teacher's embedding of the sentence.
    """

    retrieval = True
    kind: Literal["distillation"] = "distillation"
    teacher: str
    """MODEL that teaches: a run, a folder or a name of the Hub. It embeds each anchor once."""
    terms: Literal["both", "source", "target"] = "both"
    """Which of student(source) and student(target) are compared with teacher(source)."""
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
        """Always true."""
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
