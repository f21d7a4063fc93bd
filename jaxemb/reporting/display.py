"""The output of a run: a progress bar on a terminal, or an occasional line in a log file."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

import jax
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jaxemb.progress import progress_bar

SECONDS_BETWEEN_LINES = 10.0


class Display:
    """Headlines, progress and tables; only the primary process prints, unless `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(quiet=quiet or jax.process_index() != 0, highlight=False, soft_wrap=True)
        self._started = time.monotonic()

    def headline(self, text: str) -> None:
        """One line on what starts now, with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/]  {escape(text)}")

    @contextlib.contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields a function that counts finished texts; shows the count out of `total`."""
        if self.console.is_terminal or self.console.quiet:
            with progress_bar(what, total, not self.console.quiet) as advance:
                yield advance
            return
        done, last_line = 0, time.monotonic()

        def count(texts: int) -> None:
            nonlocal done, last_line
            done += texts
            if time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                self.console.print(f"          {what} {done:,}/{total:,}")

        yield count

    def progress(self, start: int, steps: int) -> "StepProgress":
        """The progress of the training loop."""
        return StepProgress(self.console, start, steps)


class StepProgress:
    """Finished steps, loss, examples/s and the remaining time."""

    def __init__(self, console: Console, start: int, steps: int) -> None:
        self._console, self._start, self._steps = console, start, steps
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=steps, completed=start, note="compiling")

    def __enter__(self) -> "StepProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """Moves the bar to `step`."""
        self._bar.update(self._task, completed=step)

    def show(self, step: int, metrics: Mapping[str, float]) -> None:
        """Shows the metrics of `step`."""
        note = f"loss {metrics['loss']:.4f}"
        if "examples_per_second" in metrics:
            note += f"  {metrics['examples_per_second']:,.0f} examples/s"
        self._bar.update(self._task, note=note)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > SECONDS_BETWEEN_LINES or step == self._steps):
            self._last_line = now
            left = (now - self._began) / max(step - self._start, 1) * (self._steps - step)
            self._console.print(f"          step {step}/{self._steps}  {note}  ETA {left:.0f} s")
