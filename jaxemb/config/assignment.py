"""Which objective each source trains, and whether each source gives what its objective needs."""

import difflib
import re
from collections.abc import Mapping, Sequence

from jaxemb.config.objective import CustomObjective, DistillationObjective, MlmObjective, Objective
from jaxemb.config.sources import EXTRAS, Source

MAIN = "main"
"""Name of the config's `objective`, beside those of `objectives`."""
_RESERVED = (MAIN, "classifier", "mlm")
"""Names that `objectives` may not have: the last two are parameters of `objective` (`objective/classifier`)."""


def objectives_of(main: Objective, named: Mapping[str, Objective], sources: Sequence[Source]) -> dict[str, Objective]:
    """The objectives that sources train, by name: `main` first, then the others in the order of the config."""
    if any(source.objective is None for source in sources):
        return {MAIN: main, **named}
    return dict(named)


def key_of(name: str) -> str:
    """The key of an objective in the config, for messages.

    >>> key_of("main"), key_of("nli")
    ('objective', 'objectives.nli')
    """
    return "objective" if name == MAIN else f"objectives.{name}"


def check_names(named: Mapping[str, Objective], sources: Sequence[Source]) -> None:
    """Raises ValueError where a name cannot be one, or sources and objectives do not name each other."""
    for number, source in enumerate(sources):
        if source.objective is not None and source.objective not in named:
            near = difflib.get_close_matches(source.objective, named, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the names are {', '.join(named) or '(none)'}"
            raise ValueError(f"data.sources.{number}.objective: {source.objective!r} is not in objectives; {hint}")
    for name in named:
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in _RESERVED:
            raise ValueError(
                f"objectives: {name!r} cannot be a name: use lower-case letters, digits and _, and not one of "
                f"{', '.join(_RESERVED)}"
            )
        if not any(source.objective == name for source in sources):
            raise ValueError(f"objectives.{name}: no source trains it; set data.sources.N.objective to {name}")


def check_mixable(objectives: Mapping[str, Objective]) -> None:
    """Raises ValueError where one of several objectives cannot be trained beside others."""
    for name, objective in objectives.items():
        where = f"{key_of(name)}.kind: {objective.kind}"
        if isinstance(objective, MlmObjective):
            raise ValueError(
                f"{where} joins the sides of every example to one text, so it cannot be mixed with other objectives: "
                "train it first, in a run of its own, and start from that run (model.init_from)"
            )
        if isinstance(objective, DistillationObjective):
            raise ValueError(
                f"{where} needs the teacher's embedding of every example, so it cannot be mixed with other objectives: "
                "distil in a run of its own, and start from that run (model.init_from)"
            )
        if isinstance(objective, CustomObjective) and name != MAIN:
            raise ValueError(f"{where}: jaxemb.train takes one function, which is `objective: {{kind: custom}}`")


def check_sources(name: str, objective: Objective, sources: Mapping[int, Source]) -> None:
    """Raises ValueError where a source does not give what its objective learns from, or gives more.

    Args:
      name: of the objective.
      objective: its settings.
      sources: those that train it, by their position in the config.
    """
    where = f"{key_of(name)}.kind: {objective.kind}"
    for number, source in sources.items():
        if missing := objective.needs - source.gives:
            what = " and ".join(EXTRAS[extra] for extra in sorted(missing))
            raise ValueError(f"{where} learns from {what}; data.sources.{number} (kind {source.kind}) has none")
        if wrong := source.gives - objective.needs - objective.takes:
            what = " and ".join(EXTRAS[extra] for extra in sorted(wrong))
            raise ValueError(f"{where} does not use {what}, but data.sources.{number} gives them")
    if len({"negatives" in source.gives for source in sources.values()}) > 1:
        whose = "all sources" if name == MAIN else f"all sources of {key_of(name)}"
        raise ValueError(f"data.sources: either {whose} must give hard negatives, or none")
