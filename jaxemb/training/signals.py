"""Ctrl-C and SIGTERM as a flag that the loop looks at between steps."""

import signal
import threading
from types import FrameType, TracebackType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


class StopRequest:
    """Context in which SIGINT and SIGTERM only set `exit_code`; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._previous: dict[int, object] = {}

    def _request(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = EXIT_CODES[signal.Signals(number)]

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._request) for number in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
