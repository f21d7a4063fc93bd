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
    """Tab-separated pairs, one per line, without quoting, or CSV with a header; plain or `.gz`."""

    kind: Literal["tsv"] = "tsv"
    path: str
    """A file, or a pattern such as `bitext/en-*.tsv.gz`; relative to `data.root`."""
    anchor_column: NonNegativeInt | str = 0
    """Column of the anchor, counted from 0, or its name in the header."""
    positive_column: NonNegativeInt | str = 1
    """Column of the positive (the translation), counted from 0, or its name in the header."""
    negative_column: NonNegativeInt | str | None = None
    """Column of a hard negative, counted from 0, or its name in the header; null for none. MS MARCO's triples have it
    in column 2."""
    header: bool = False
    """Whether the first line names the columns. It does if a column is given by its name."""
    split: str | None = "train"
    """Of a file whose header has a column of splits, only these rows are taken; null takes all rows."""
    anchor_lang: Language = "en"
    """Language of the anchor."""
    positive_lang: Language | None = None
    """Language of the positive; when null, taken from a file name such as `en-XX.tsv.gz`. Of a file whose header has a
    column `language`, only the rows in this language are taken; null takes all and gives each its own."""
    licence: str | None = None
    """Licence of the data, for the model card."""

    @property
    def columns(self) -> tuple[int | str, ...]:
        """Columns of the anchor, the positive and, if there is one, the hard negative."""
        negative = () if self.negative_column is None else (self.negative_column,)
        return self.anchor_column, self.positive_column, *negative

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns."""
        return self.header or any(isinstance(column, str) for column in self.columns)

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


class _Rows(_Files):
    """Files whose columns may say which split and which language each row is for."""

    language: Language | None = "en"
    """Language of the sentences. Of a file with a column `language`, only the rows in this language are taken; null
    takes all rows and gives each its own language."""
    split: str | None = "train"
    """Of a file with a column of splits (`split`, `SemEval_set`), only these rows are taken; null takes all rows. Other
    rows are counted in the report of the data. Files without such a column are taken whole."""


class TextSource(_Files):
    """Single sentences, one per line: plain lines, a column of a `.tsv`, a key of a `.jsonl`; plain or `.gz`."""

    kind: Literal["text"] = "text"
    language: Language | None = "en"
    """Language of the sentences; when null, taken from a file name such as `de.txt.gz`, or `en-de.tsv.gz` for `de`.
    Of a file with a column `language`, only the rows in this language are taken; null takes all and gives each its
    own."""
    column: int | str | None = None
    """Column of a `.tsv`, counted from 0 (the first when null) or by its name in the header, or key of a `.jsonl`
    (`text` when null). A `.csv` with a header is read if `column` is a name, else as plain lines."""
    header: bool = False
    """Whether the first line of a `.tsv` or `.csv` names the columns. It does if `column` is a name."""
    split: str | None = "train"
    """Of a table with a header, or a `.jsonl`, that has a column of splits, only these rows are taken; null takes all
    rows."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"twin"})


class NliSource(_Rows):
    """Natural language inference: SNLI, MultiNLI, XNLI, AllNLI, SICK and others; plain or `.gz`.

    Files are `.jsonl`, or tables with a header, between tabs or CSV: docs/formats.md lists the names of columns. Labels
    are 0 contradiction, 1 entailment, 2 neutral; pairs without agreement (`-`) are left out.
    """

    kind: Literal["nli"] = "nli"
    triplets: bool = False
    """Give triplets instead of labelled pairs (supervised SimCSE): each premise with a sentence that it entails, and
    with one that it contradicts as hard negative. Premises that lack either are left out."""
    label_names: tuple[Literal["entailment", "neutral", "contradiction"], ...] | None = None
    """What the numbers mean in a file whose labels are numbers: `[entailment, neutral, contradiction]` for the data
    sets of Hugging Face, where 0 is entailment. -1 is no agreement. Null if the file names its labels."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"negatives" if self.triplets else "label"})


class StsSource(_Rows):
    """Scored pairs: STSb, STSbenchmark, SICK, SemEval, GLUE, or a CSV with a header; plain or `.gz`.

    docs/formats.md lists the layouts. Pairs without a score are left out and counted.
    """

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
    def keys(self) -> frozenset[str | None]:
        """The fields that texts, labels and scores are taken from."""
        return frozenset(
            (self.anchor_key, self.positive_key, *self.negative_keys, self.label_key, self.score_key),
        )

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
    split: str | None = "train"
    """Of lines with a field `split` (or `SemEval_set`), only these are taken; null takes all."""


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
