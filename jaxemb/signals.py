"""Handles Ctrl-C and SIGTERM: immediately outside the training loop, between two steps inside it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from jaxemb.errors import Stopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


class StopRequest:
    """Context in which SIGTERM raises `Stopped` and SIGINT raises `KeyboardInterrupt`, except inside `deferred()`."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        """Set by a signal inside `deferred()`."""
        self._deferred = False
        self._previous: dict[int, object] = {}

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal only sets `exit_code`; a second Ctrl-C interrupts at once."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and (not self._deferred or self.exit_code is not None):
            raise KeyboardInterrupt
        self.exit_code = EXIT_CODES[signal.Signals(number)]
        if not self._deferred:
            raise Stopped("stopped outside the training loop", self.exit_code)

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._request) for number in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
