"""Counts how often a jitted function is compiled: a step that recompiles repeatedly is slow, without an error."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from jax import monitoring

from jaxemb.config import MAIN
from jaxemb.config.assignment import key_of

_EVENT = "/jax/core/compile/backend_compile_duration"
"""The event that jax records for each program that it compiles, or reads from the compilation cache on disk."""


@contextlib.contextmanager
def compilations_of(jitted: Callable[..., Any]) -> Iterator[Callable[[], int]]:
    """Yields a function that returns how many programs of `jitted` have been compiled since.

    All jitted functions with its name count. (jax's own `_cache_size` forgets programs in a process that has many.)
    """
    count, name = 0, f"jit({jitted.__name__})"

    def listen(event: str, duration_secs: float, **about: str | int) -> None:
        nonlocal count
        del duration_secs
        count += event == _EVENT and about.get("fun_name") == name

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield lambda: count
    finally:
        monitoring.unregister_event_duration_listener(listen)


def check_compilations(compiled: int, shapes: int, objective: str = MAIN) -> None:
    """Checks that there is one compilation per shape of batches; with more, every step might compile again.

    Raises:
      RuntimeError: if the step was compiled more often than there are `shapes`.
    """
    if compiled > shapes:
        of = "" if objective == MAIN else f" of {key_of(objective)}"
        raise RuntimeError(f"the training step{of} was compiled {compiled} times for {shapes} shapes of batches")
