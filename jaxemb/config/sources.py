"""Settings of the sources of training examples: one class for each kind."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Language, Settings

Extra = Literal["label", "score", "negatives", "twin"]
"""What the examples of a source have in addition to two texts; `twin`: both texts are the same."""
EXTRAS: dict[Extra, str] = {
    "label": "labels (kind nli, or label_key of jsonl and tfds)",
    "score": "scores (kind sts, or score_key of jsonl and tfds)",
    "negatives": "hard negatives (triplets of kind nli, negative_column of tsv, or negative_keys of jsonl and tfds)",
    "twin": "single sentences (kind text)",
}
"""Names of these for messages, with the sources that give them."""


class _Source(Settings):
    """Base of all sources."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset()


class GettextSource(_Source):
    """Translation catalogues (`.mo`, `.po`) of installed Python packages; English is the anchor."""

    kind: Literal["gettext"] = "gettext"
    packages: tuple[str, ...]
    """Names of installed distributions, as pip knows them."""
    languages: tuple[Language, ...] | None = None
    """Languages to use (BCP 47, such as `de` or `pt-BR`); null for all."""


class TsvSource(_Source):
    """Tab-separated pairs, one a line, without a header, plain or `.gz`."""

    kind: Literal["tsv"] = "tsv"
    path: str
    """A file, or a pattern such as `bitext/en-*.tsv.gz`; relative to `data.root`."""
    anchor_column: NonNegativeInt = 0
    """Column of the anchor, counted from 0."""
    positive_column: NonNegativeInt = 1
    """Column of the positive (the translation), counted from 0."""
    negative_column: NonNegativeInt | None = None
    """Column of a hard negative, counted from 0; null for none. MS MARCO's triples have it in column 2."""
    anchor_lang: Language = "en"
    """Language of the anchor."""
    positive_lang: Language | None = None
    """Language of the positive; when null, taken from a file name such as `en-XX.tsv.gz`."""
    licence: str | None = None
    """Licence of the data, for the model card."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset() if self.negative_column is None else frozenset({"negatives"})


class MosesSource(_Source):
    """Two aligned plain-text files (or `.gz`): line N of one translates line N of the other."""

    kind: Literal["moses"] = "moses"
    anchor_path: str
    """File of the anchors; relative to `data.root`."""
    positive_path: str
    """File of the positives; relative to `data.root`."""
    anchor_lang: Language = "en"
    """Language of the anchors."""
    positive_lang: Language
    """Language of the positives."""
    licence: str | None = None
    """Licence of the data, for the model card."""


class _Files(_Source):
    """Files, each in one language."""

    path: str
    """A file, or a pattern such as `wiki/*.txt.gz`; relative to `data.root`."""
    licence: str | None = None
    """Licence of the data, for the model card."""


class _OneLanguage(_Files):
    """Files that are all in one language."""

    language: Language = "en"
    """Language of the sentences."""


class TextSource(_Files):
    """Single sentences, one a line: plain lines, a column of a `.tsv`, a key of a `.jsonl`; plain or `.gz`."""

    kind: Literal["text"] = "text"
    language: Language | None = "en"
    """Language of the sentences; when null, taken from a file name such as `de.txt.gz`, or `en-de.tsv.gz` for `de`."""
    column: int | str | None = None
    """Column of a `.tsv`, counted from 0 (the first when null), or key of a `.jsonl` (`text` when null)."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"twin"})


class NliSource(_OneLanguage):
    """Natural language inference: SNLI and MultiNLI (`.jsonl`), SICK (tab-separated, with a header); plain or `.gz`.

    Labels are 0 contradiction, 1 entailment, 2 neutral; pairs without agreement (`-`) are left out.
    """

    kind: Literal["nli"] = "nli"
    triplets: bool = False
    """Give triplets instead of labelled pairs (supervised SimCSE): each premise with a sentence that it entails, and
    with one that it contradicts as hard negative. Premises that lack either are left out."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"negatives" if self.triplets else "label"})


class StsSource(_OneLanguage):
    """Scored pairs: `LANG.train.csv` of STSb (sentence, sentence, score), SICK, SemEval's `.tsv`; plain or `.gz`."""

    kind: Literal["sts"] = "sts"
    max_score: PositiveFloat = 5.0
    """The score of two sentences that mean the same; all scores are divided by it."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"score"})


class _Keyed(_Source):
    """Records with named fields."""

    anchor_key: str = "anchor"
    """Field of the anchor (premise, query)."""
    positive_key: str | None = "positive"
    """Field of the positive (hypothesis, document); null for single sentences. A list holds several positives: each
    epoch takes one of them."""
    negative_keys: tuple[str, ...] = ()
    """Fields of hard negatives: a text each, or lists (see `negatives`)."""
    negatives: PositiveInt | None = None
    """Hard negatives of each example, drawn from all texts and lists under `negative_keys`: each epoch takes others. A
    row with fewer repeats them, and the losses count each once. null takes one text from each of `negative_keys`."""
    label_key: str | None = None
    """Field of a class, a whole number from 0; examples with -1 (no agreement) are left out."""
    score_key: str | None = None
    """Field of a similarity score."""
    max_score: PositiveFloat = 1.0
    """The highest score; all scores are divided by it."""
    anchor_lang: Language = "en"
    """Language of the anchors."""
    positive_lang: Language = "en"
    """Language of the positives and negatives."""
    licence: str | None = None
    """Licence of the data, for the model card."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        there: dict[Extra, bool] = {
            "twin": self.positive_key is None,
            "negatives": bool(self.negative_keys),
            "label": self.label_key is not None,
            "score": self.score_key is not None,
        }
        return frozenset(extra for extra, given in there.items() if given)

    @model_validator(mode="after")
    def _check(self) -> "_Keyed":
        if self.positive_key is None and self.gives != {"twin"}:
            raise ValueError("positive_key: null means single sentences, which have no negatives, labels or scores")
        if self.negatives is not None and not self.negative_keys:
            raise ValueError("negatives: set negative_keys, too: the fields that the hard negatives are drawn from")
        return self


class JsonlSource(_Keyed):
    """Records with named fields, a JSON object per line; plain or `.gz`.

    A text may be an object `{"title": ..., "text": ...}`; the title comes first. A line that is a list of texts has the
    fields anchor, positive, negative, negative_1 and so on.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: str
    """A file or a pattern, relative to `data.root`."""


class TfdsSource(_Keyed):
    """A dataset of TensorFlow Datasets by name (`snli`, `multi_nli`, ...), read without TensorFlow.

    It must have been prepared in a format with random access: `tfds build NAME --file_format=array_record`.
    """

    kind: Literal["tfds"] = "tfds"
    name: str
    """Name, with config and version if needed, as for `tfds.data_source`: `glue/mnli`."""
    split: str = "train"
    """Split, or a part of one: `train[:10%]`."""
    data_dir: str | None = None
    """Folder of prepared datasets, relative to `data.root`; TFDS's own (`~/tensorflow_datasets`) when null."""


Source = Annotated[
    GettextSource | TsvSource | MosesSource | TextSource | NliSource | StsSource | JsonlSource | TfdsSource,
    Field(discriminator="kind"),
]
