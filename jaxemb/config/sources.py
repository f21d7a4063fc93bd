"""Settings of the sources of training examples: one class for each kind."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Language, Settings

Extra = Literal["label", "score", "negatives", "twin"]
"""What the examples of a source have in addition to two texts; `twin`: both texts are the same."""
EXTRAS: dict[Extra, str] = {
    "label": "labels (kind nli, or label_key of records)",
    "score": "scores (kind sts, or score_key of records)",
    "negatives": "hard negatives (triplets of kind nli, negative_column of tsv, or negative_keys of records)",
    "twin": "single sentences (kind text)",
}
"""Names of these for messages, with the sources that give them; records are jsonl, parquet, hf and tfds."""


def _both(key: str, column: int | str | None, lowest: float | None) -> None:
    """Raises ValueError if only one of a column of numbers and the lowest number is set."""
    if (column is None) != (lowest is None):
        raise ValueError(f"{key}: set it together with min_quality, the lowest number that is taken")


class _Source(Settings):
    """Base of all sources."""

    weight: PositiveFloat = 1.0
    """How often an example of this source is drawn, relative to one of a source with weight 1 in the same language."""
    anchor_prompt: str | None = None
    """Text put before each anchor of this source in training; null for `data.anchor_prompt`."""
    positive_prompt: str | None = None
    """Text put before each positive and hard negative of this source in training; null for `data.positive_prompt`."""
    objective: str | None = None
    """Name of the objective that its examples train, one of `objectives`; null for the config's `objective`. Each batch
    then has examples of one source (`data.batches: one_source`)."""

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
    """Tab-separated pairs, one per line, without quoting, CSV with a header, or Parquet; plain or compressed."""

    kind: Literal["tsv"] = "tsv"
    path: str
    """A file, a URL, or a pattern such as `bitext/en-*.tsv.gz`; relative to `data.root`."""
    anchor_column: NonNegativeInt | str = 0
    """Column of the anchor, counted from 0, or its name in the header."""
    positive_column: NonNegativeInt | str = 1
    """Column of the positive (the translation), counted from 0, or its name in the header."""
    negative_column: NonNegativeInt | str | None = None
    """Column of a hard negative, counted from 0, or its name in the header; null for none. MS MARCO's triples have it
    in column 2."""
    quality_column: NonNegativeInt | str | None = None
    """Column of a number that says how good the pair is, such as the margin score of WikiMatrix, CCMatrix and NLLB;
    counted from 0, or its name in the header."""
    min_quality: float | None = None
    """The lowest number in `quality_column` that is taken; pairs below are dropped and counted as `low_score`."""
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
        """Columns of the anchor, the positive and, where there are any, the hard negative and the quality."""
        others = (self.negative_column, self.quality_column)
        return self.anchor_column, self.positive_column, *(column for column in others if column is not None)

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns."""
        return self.header or any(isinstance(column, str) for column in self.columns)

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset() if self.negative_column is None else frozenset({"negatives"})

    @model_validator(mode="after")
    def _check(self) -> "TsvSource":
        _both("quality_column", self.quality_column, self.min_quality)
        return self


class TmxSource(_Source):
    """Translation memories (TMX), as OPUS, the EU and translators' programs write them."""

    kind: Literal["tmx"] = "tmx"
    path: str
    """A file, a URL, or a pattern such as `tmx/*.tmx.gz`; relative to `data.root`."""
    anchor_lang: Language = "en"
    """Language of the anchors; `en` takes `en-GB`, too."""
    positive_lang: Language | None = None
    """Language of the positives; null takes the translations into every other language."""
    licence: str | None = None
    """Licence of the data, for the model card."""


class MosesSource(_Source):
    """Two aligned files of plain text, compressed or not: line N of one translates line N of the other."""

    kind: Literal["moses"] = "moses"
    anchor_path: str
    """File of the anchors, or its URL; relative to `data.root`."""
    positive_path: str
    """File of the positives, or its URL; relative to `data.root`."""
    anchor_lang: Language = "en"
    """Language of the anchors."""
    positive_lang: Language
    """Language of the positives."""
    licence: str | None = None
    """Licence of the data, for the model card."""


class _Files(_Source):
    """Files, each in one language."""

    path: str
    """A file, a URL, or a pattern such as `wiki/*.txt.gz`; relative to `data.root`."""
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
    """Single sentences: plain lines, a column of a table or a `.parquet`, a key of a `.jsonl`; plain or compressed."""

    kind: Literal["text"] = "text"
    language: Language | None = "en"
    """Language of the sentences; when null, taken from a file name such as `de.txt.gz`, or `en-de.tsv.gz` for `de`.
    Of a file with a column `language`, only the rows in this language are taken; null takes all and gives each its
    own."""
    column: int | str | None = None
    """Column of a table, counted from 0 or by its name in the header, or key of a `.jsonl` or column of a `.parquet`
    (`text` when null). When null, a `.tsv` gives its first column, and other files are read as plain lines, unless
    `header` is true."""
    header: bool = False
    """Whether the first line of a table names the columns. It does if `column` is a name."""
    split: str | None = "train"
    """Of a table with a header, or a `.jsonl`, that has a column of splits, only these rows are taken; null takes all
    rows."""

    @property
    def gives(self) -> frozenset[Extra]:
        """What its examples have in addition to two texts."""
        return frozenset({"twin"})


class NliSource(_Rows):
    """Natural language inference: SNLI, MultiNLI, XNLI, AllNLI, SICK and others; plain or compressed.

    Files are `.jsonl`, or tables with a header, between tabs, CSV or Parquet: docs/formats.md lists the names of
    columns. Labels are 0 contradiction, 1 entailment, 2 neutral; pairs without agreement (`-`) are left out.
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
    """Scored pairs: STSb, STSbenchmark, SICK, SemEval, GLUE, or a table with a header; plain or compressed.

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
    """Records with named fields. `translation.en` is the field `en` of an object under `translation`."""

    anchor_key: str = "anchor"
    """Field of the anchor (premise, query)."""
    positive_key: str | None = "positive"
    """Field of the positive (hypothesis, document); null for single sentences. A list holds several positives: each
    epoch takes one of them. The same field as `anchor_key` holds a set of texts that belong together: each epoch takes
    another pair of them."""
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
    quality_key: str | None = None
    """Field of a number that says how good the example is, such as a margin score."""
    min_quality: float | None = None
    """The lowest number under `quality_key` that is taken; records below are dropped and counted as `low_score`."""
    anchor_lang: Language | None = "en"
    """Language of the anchors; null for the language of their positives."""
    positive_lang: Language | None = "en"
    """Language of the positives and negatives. Of records with a field `language`, only those in this language are
    taken; null takes all and gives each its own."""
    licence: str | None = None
    """Licence of the data, for the model card."""

    @property
    def language(self) -> str | None:
        """The language that a field `language` names: of the positives, or of single sentences."""
        return self.anchor_lang if self.positive_key is None else self.positive_lang

    @property
    def language_key(self) -> str:
        """The setting that `language` is from."""
        return "anchor_lang" if self.positive_key is None else "positive_lang"

    @property
    def keys(self) -> frozenset[str | None]:
        """The fields that texts, labels and scores are taken from."""
        others = (self.label_key, self.score_key, self.quality_key)
        return frozenset((self.anchor_key, self.positive_key, *self.negative_keys, *others))

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
        _both("quality_key", self.quality_key, self.min_quality)
        return self


class JsonlSource(_Keyed):
    """Records with named fields, a JSON object per line; plain or compressed.

    A text may be an object `{"title": ..., "text": ...}`; the title comes first. A line that is a list of texts has the
    fields anchor, positive, negative, negative_1 and so on.
    """

    kind: Literal["jsonl"] = "jsonl"
    path: str
    """A file, a URL or a pattern; relative to `data.root`."""
    split: str | None = "train"
    """Of lines with a field `split` (or `SemEval_set`), only these are taken; null takes all."""


class ParquetSource(_Keyed):
    """Records with named fields in Parquet files, read by row group, or in Arrow files (IPC, Feather).

    Fields may be lists and objects, as in `jsonl`.
    """

    kind: Literal["parquet"] = "parquet"
    path: str
    """A file, a URL or a pattern; relative to `data.root`."""
    split: str | None = "train"
    """Of files with a column `split` (or `SemEval_set`), only these rows are taken; null takes all."""


class HfSource(_Keyed):
    """A dataset of the Hugging Face hub, which is streamed, or one that lies in a folder; needs `jaxemb[hf]`."""

    kind: Literal["hf"] = "hf"
    name: str
    """Folder of a dataset (written by `save_to_disk`, or with `.parquet` or `.jsonl` files), relative to `data.root`;
    else the name on the hub: `sentence-transformers/all-nli`."""
    config: str | None = None
    """Configuration (subset) of the dataset: `pair-class`."""
    split: str = "train"
    """Split of the dataset."""
    revision: str | None = None
    """Branch, tag or commit on the hub; null for the newest version."""


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
    GettextSource
    | TsvSource
    | MosesSource
    | TmxSource
    | TextSource
    | NliSource
    | StsSource
    | JsonlSource
    | ParquetSource
    | HfSource
    | TfdsSource,
    Field(discriminator="kind"),
]
