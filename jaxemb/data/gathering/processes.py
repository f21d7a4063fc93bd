"""Other processes that share the work; the script that called us need not be guarded against them."""

import concurrent.futures
import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def processes(count: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Yields a pool of processes. After an error, tasks that have not begun are cancelled."""
    # Not forked: this process may have threads of JAX, and a fork would leave their locks held.
    context = multiprocessing.get_context("spawn")
    with _without_main(), concurrent.futures.ProcessPoolExecutor(count, context, _ignore_interrupts) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Inside, new processes do not run the script that called us."""
    main = sys.modules["__main__"].__dict__
    hidden: dict[str, Any] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        del main["__spec__"]
        main |= hidden


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
