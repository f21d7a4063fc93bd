"""The suite `teacher_mse`: how far are a student's embeddings of translations from its teacher's of the originals?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxemb.errors import UserError
from jaxemb.evaluation.pools import EncodeFn, EncodeFns, Pool, embed_sides
from jaxemb.evaluation.report import LogEntry, PageSection, Report, ReportTable
from jaxemb.evaluation.suite import Entry, InRuns


@dataclass(frozen=True, slots=True)
class PoolError:
    """The error of a student over one pool."""

    name: str
    """The language, or the file."""
    mse: float
    """Mean over sentences and dimensions of the squared difference, the lower the better; not multiplied by 100."""
    n: int
    """Sentence pairs."""


def teacher_mse(student: EncodeFn, teacher: EncodeFn, pools: Sequence[Pool]) -> list[PoolError]:
    """The student's error on the translations (positives) against the teacher's embeddings of the sources (anchors).

        mse = mean_ij (student(positive_i)_j - teacher(anchor_i)_j)^2

    Source: the second term of the loss of Reimers and Gurevych 2020 (arXiv 2004.09813), eq. 1, on sentences held out.
    sentence-transformers' `MSEEvaluator` reports 100 times this number. Of two unit vectors of width D it is
    2 (1 - cosine) / D.

    Args:
      student: texts to embeddings; called once with all distinct positives.
      teacher: texts to embeddings of the same width; called once with all distinct anchors.
      pools: source sentences as anchors, their translations as positives.

    Returns: the error of each pool, in the order of `pools`.
    Raises: UserError if the widths differ, or an embedding is not finite; ValueError if a function returns anything but
      one row a text.

    >>> pools = [Pool("de", ("one", "two"), ("eins", "zwei"))]
    >>> vectors = {"one": [1.0, 0.0], "two": [0.0, 1.0], "eins": [1.0, 0.0], "zwei": [0.0, 3.0]}
    >>> encode = lambda texts: np.array([vectors[text] for text in texts])
    >>> teacher_mse(encode, encode, pools)  # (0 + 0 + 0 + 2^2) / 4
    [PoolError(name='de', mse=1.0, n=2)]
    """
    if not pools:
        return []
    from jaxemb.search import check_finite  # imports jax, which `jaxemb evaluate --help` does not need

    of_anchors, of_positives = embed_sides(
        (teacher, student),
        [text for pool in pools for text in pool.anchors],
        [text for pool in pools for text in pool.positives],
    )
    errors = []
    for pool in pools:
        wanted, found = of_anchors(pool.anchors), of_positives(pool.positives)
        check_finite(wanted, f" of the teacher, of {pool.name},")
        check_finite(found, f" of the student, of {pool.name},")
        if wanted.shape != found.shape:
            raise UserError(
                f"the student's embeddings have {found.shape[1]} dimensions and the teacher's {wanted.shape[1]}: only "
                "those of the same width can be compared"
            )
        difference = found.astype(np.float64) - wanted.astype(np.float64)
        errors.append(PoolError(pool.name, float(np.mean(difference**2)), len(pool.anchors)))
    return errors


@dataclass(frozen=True)
class TeacherMse:
    """The suite on pools of source sentences and their translations; the fields are arguments of `teacher_mse`."""

    teacher: EncodeFn
    pools: Sequence[Pool]

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `teacher_mse`; of two functions that of the positives, which the translations are, is the student."""
        student = encode_fn if callable(encode_fn) else encode_fn[1]
        return _report({one.name: one.mse for one in teacher_mse(student, self.teacher, self.pools)})

    def baseline(self) -> None:
        """There is none."""


def _report(errors: Mapping[str, float]) -> Report:
    """What a run shows, logs and keeps of the error of each pool."""
    quantity, mean = "squared error against the teacher", sum(errors.values()) / len(errors)
    rows = tuple((name, f"{100 * error:.4f}") for name, error in errors.items())
    return Report(
        "teacher_mse",
        ReportTable(f"{quantity}, x 100", ("language",), ("error",), rows, (("mean: all", f"{100 * mean:.4f}"),)),
        errors,
        page=PageSection(
            "Mean squared error against the teacher, x 100", {name: 100 * error for name, error in errors.items()}
        ),
        log=LogEntry(quantity, f"{100 * mean:.4f} (x 100)", {"teacher_mse": mean}),
        result=errors,
    )


ENTRY = Entry(
    "teacher_mse", in_runs=InRuns(key="teacher_mse", always=True, report_of=_report, whole_embeddings=True), order=4
)
