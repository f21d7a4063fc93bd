"""A progress bar on stderr that counts texts."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(title: str, total: int, show: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances the bar by a number of texts; draws nothing if `show` is false."""
    if not show:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]} texts/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, speed="-")

        def advance(texts: int) -> None:
            progress.advance(task, texts)
            if speed := progress.tasks[0].speed:
                progress.update(task, speed=f"{speed:,.0f}")

        yield advance
