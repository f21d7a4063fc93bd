"""The suites that score a run. This is the one place where the settings `evaluation.*` become suites."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxemb.config import TrainConfig
from jaxemb.config.training import split_language_pair
from jaxemb.data.pairs.records import Record
from jaxemb.evaluation import Suite, build_pools
from jaxemb.evaluation.suites.heldout import Heldout
from jaxemb.evaluation.suites.sts import Sts
from jaxemb.evaluation.suites.teacher_mse import TeacherMse
from jaxemb.training.teacher import Teacher


def suites_of(
    config: TrainConfig, heldout: Mapping[str, Sequence[Record]], teacher: Teacher | None = None
) -> dict[str, Suite]:
    """The suites by name, in the order in which they score.

    Args:
      config: `evaluation.sts` adds the suite `sts`.
      heldout: pairs by language: the held-out split. It adds the suite `heldout`.
      teacher: adds the suite `teacher_mse` on the held-out split.
    """
    suites: dict[str, Suite] = {}
    pools = build_pools(heldout, config.evaluation)
    if pools:
        suites["heldout"] = Heldout(pools, sorted(heldout.keys() - {pool.name for pool in pools}))
    if (sts := _sts(config)) is not None:
        suites["sts"] = sts
    if pools and teacher is not None:
        suites["teacher_mse"] = TeacherMse(teacher.encode, pools)
    return suites


def wants_baselines(config: TrainConfig, suites: dict[str, Suite]) -> bool:
    """Whether to score the baselines: they need the held-out split."""
    return config.evaluation.baselines and "heldout" in suites


def check_suites(config: TrainConfig) -> None:
    """Reads the files of the suites.

    Raises:
      UserError: if a file is missing or malformed.
    """
    if (sts := _sts(config)) is not None:
        sts.check()


def _sts(config: TrainConfig) -> Sts | None:
    """The suite of `evaluation.sts`, whose paths begin at `data.root`."""
    root, wanted = Path(config.data.root or "").expanduser(), config.evaluation.sts
    if wanted is None:
        return None
    paths = [root / Path(path).expanduser() for path in wanted.paths]
    pairs = [split_language_pair("evaluation.sts.language_pairs", pair) for pair in wanted.language_pairs]
    return Sts(paths, wanted.split, pairs or None, wanted.alignment)
