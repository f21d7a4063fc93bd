"""A run behind a URL: it trains in a local mirror, and commits from there to the store.

The store has `checkpoints/N/` and `export/` as in a run directory. The small files (config, tokenizer, metrics,
results), which change during a run, are in `_jaxemb/files/`, named by their content; once the run is finished, they are
also under their own names.
"""

import contextlib
import hashlib
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.errors import CannotWrite, Stopped, UsageError, UserError
from jaxemb.files import cache_root, is_partial, lock_exclusively, remove_partial, write_atomically
from jaxemb.runs.directory import RunDirectory, steps_to_keep
from jaxemb.runs.storage.local import LocalStorage
from jaxemb.runs.storage.mirror import END, link, mirror, newest_first, number_of
from jaxemb.runs.storage.store import FILES, Damaged, Store, Taken
from jaxemb.runs.storage.units import sha256_of
from jaxemb.signals import StopRequest

SECONDS_BETWEEN_LOOKS = 1.0
LOOKS_BETWEEN_STATES = 60
"""Number of polls after which changed small files, such as scores, are committed even without a new checkpoint."""
KEPT_STATES = 2


class RemoteStorage(LocalStorage):
    """A run behind a URL."""

    def __init__(self, config: TrainConfig, say: Callable[[str], None], stop: StopRequest) -> None:
        self.url = str(config.output_dir).rstrip("/")
        name = f"{self.url.rsplit('/', 1)[-1]}-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"
        self._base = cache_root(config.data.cache_dir) / "runs" / name
        super().__init__(RunDirectory(self._base / "run"))
        self._keep, self._metric = config.training.keep_checkpoints, config.best_metric
        self._say, self._stop = say, stop
        self._store: Store | None = None  # of the primary process
        self._committed: int | None = None  # the newest committed step
        self._tried: int | None = None
        self._leaving = threading.Event()
        self._uploads: threading.Thread | None = None

    def __str__(self) -> str:
        return f"{self.url}, mirrored in {self.run.path}"

    @contextlib.contextmanager
    def opened(self, resume: bool) -> Iterator[None]:
        """Like `LocalStorage`; also updates the mirror first, and commits the rest at the end.

        Raises:
          UsageError: if no run may start or resume at the URL, or it cannot be written.
          CannotWrite: at the end, if the newest checkpoint could not be committed.
        """
        with self._prepared(resume) if distributed.is_first() else contextlib.nullcontext(), super().opened(resume):
            self._check_shared()
            try:
                yield
            except KeyboardInterrupt:
                raise  # the second Ctrl-C
            except BaseException as error:
                together = isinstance(error, Stopped) and error.together
                self._finish(error, together)
                raise
            self._finish(None, True)

    def begin(self) -> None:
        """Commits the small files; from now on there is a run at the URL. Checkpoints follow in the background."""
        if self._store is None:
            return
        self._commit_state(self._store)
        self._committed = max(map(number_of, newest_first(self._store.units(), "checkpoints")), default=None)
        self._uploads = threading.Thread(target=self._upload, args=(self._store,), name="uploads", daemon=True)
        self._uploads.start()

    @contextlib.contextmanager
    def _prepared(self, resume: bool) -> Iterator[None]:
        """Locks the mirror, brings it up to date with the store (it may be ahead), and claims the store."""
        try:
            self._base.mkdir(parents=True, exist_ok=True)
            lock = (self._base / ".lock").open("a")
        except OSError as error:
            raise UsageError(
                f"{self._base}: cannot be written ({error.strerror}); set data.cache_dir to a folder for mirrors"
            ) from None
        with lock:
            lock_exclusively(
                lock, f"{self.url}: another process on this machine is training in it; wait for it or stop it"
            )
            remove_partial(self._base)
            store = Store(self.url, uuid.uuid4().hex)
            store.check_writable()
            units = store.units()
            if newest_first(units, "states") and not resume:
                raise UsageError(
                    f"{self.url} holds a run already: continue it with --resume, or choose another --output-dir"
                )
            mark, owner = self._base / "owner", store.owner()
            damaged: dict[str, Damaged] = {}
            own = mark.read_text(encoding="utf-8") if mark.is_file() else None
            if owner is None or own != owner.token or not self.run.exists():
                # Another machine may have continued the run since: the store is authoritative.
                damaged = mirror(store, units, self.run.path, self._say)
            store.claim(socket.gethostname())
            write_atomically(mark, store.token)
            for name, damage in damaged.items():
                store.discard(name, damage.name)
            self._store = store
            yield

    def _check_shared(self) -> None:
        """Raises UsageError if a process does not see the mirror of the primary process."""
        mark = self._base / "owner"
        seen = mark.read_text(encoding="utf-8") if mark.is_file() else ""
        distributed.check_same(
            f"{self._base}, the mirror of {self.url} that all processes share (set data.cache_dir or XDG_CACHE_HOME to "
            "a folder that all hosts see),",
            seen,
        )

    def _upload(self, store: Store) -> None:
        """Commits each new checkpoint, or the newest of several, until the run ends."""
        looks = 0
        while not self._leaving.wait(SECONDS_BETWEEN_LOOKS):
            looks += 1
            step = max(self.run.steps, default=None)
            try:
                if step not in (None, self._committed, self._tried):
                    self._tried = step
                    self._commit_checkpoint(store)
                elif looks % LOOKS_BETWEEN_STATES == 0:
                    self._commit_state(store)
            except Taken as error:
                self._say(f"stopping: {error}")
                self._stop.exit_code = 75  # stop after the current step
                return
            except Exception as error:  # keep training, and try again with the next one
                self._say(f"step {step} is not committed yet: {error}")

    def _finish(self, error: BaseException | None, together: bool) -> None:
        """Commits what is not committed yet, before the processes disconnect."""
        if self._store is not None and (error is None or self._uploads is not None):
            with self._stop.deferred():
                try:
                    self._commit_the_rest(self._store, done=error is None)
                except Taken:
                    if error is None or isinstance(error, Stopped):
                        raise
                except (UserError, OSError) as failed:
                    message = f"{failed}. The whole run is in {self.run.path}: --resume on this machine continues it"
                    if error is None or isinstance(error, Stopped):
                        raise CannotWrite(message) from failed
                    self._say(message)  # in addition to the run's own error
        if together:
            distributed.wait_for_all("the upload")

    def _commit_the_rest(self, store: Store, *, done: bool) -> None:
        if self._uploads is not None:
            self._leaving.set()
            self._uploads.join()
        self._commit_checkpoint(store)
        self._commit_state(store)
        if done:
            paths = [path for path in _files(self.run.path) if not path.startswith("checkpoints/")]
            store.commit(END, max(self.run.steps), {path: (path, self.run.path / path) for path in paths})
        self._say(f"committed to {self.url}")

    def _commit_checkpoint(self, store: Store) -> None:
        """Commits the newest checkpoint, unless it is committed, and removes those that are not kept."""
        with self._staged_checkpoint() as staged:
            if staged is None:
                return
            step, folder = staged
            self._commit_state(store)  # first, as it describes the steps up to this checkpoint
            name = f"checkpoints/{step}"
            files = {f"{name}/{path}": (f"{name}/{path}", folder / path) for path in _files(folder)}
            # A run that is ending skips a checkpoint that is no longer the newest.
            if not store.commit(name, step, files, lambda: not self._leaving.is_set() or step == max(self.run.steps)):
                return
        self._committed = step
        units = store.units()
        steps = map(number_of, newest_first(units, "checkpoints"))
        kept = steps_to_keep(steps, self._keep, self.run.scores(self._metric))
        store.keep({END, *(f"checkpoints/{one}" for one in kept), *newest_first(units, "states")[:KEPT_STATES]})

    @contextlib.contextmanager
    def _staged_checkpoint(self) -> Iterator[tuple[int, Path] | None]:
        """The newest checkpoint, and a folder with links to its files, because training may delete it; None if none."""
        staged = self._base / "uploads"
        while (step := max(self.run.steps, default=None)) is not None:
            shutil.rmtree(staged, ignore_errors=True)
            try:
                shutil.copytree(self.run.checkpoints / str(step), staged, copy_function=link)
            except OSError:
                if step == max(self.run.steps, default=None):
                    raise
            if step == max(self.run.steps, default=None):  # otherwise this one may be half deleted
                break
        try:
            yield None if step is None else (step, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _commit_state(self, store: Store) -> None:
        """Commits the small files, if one of them has changed."""
        with self._staged_state() as folder:
            files = {path: (FILES + sha256_of(folder / path), folder / path) for path in _files(folder)}
            units = store.units()
            last = next(iter(newest_first(units, "states")), "states/0")
            there = {path: one.name for path, one in units[last].files.items()} if last in units else None
            if there != {path: name for path, (name, _) in files.items()}:
                store.commit(f"states/{number_of(last) + 1}", max(self.run.steps, default=0), files)

    @contextlib.contextmanager
    def _staged_state(self) -> Iterator[Path]:
        """A folder with copies of the small files, because they keep changing."""
        staged, run = self._base / "state", self.run
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for path in (run.config, run.data_report, run.results, run.metrics, run.not_finite):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path, staged / path.name)
        shutil.copytree(run.tokenizer, staged / run.tokenizer.name)
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    """The paths of all files below `folder`, except for its lock and unfinished files."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(path.as_posix() for path in paths if path.name != ".lock" and not is_partial(Path(path.parts[0])))
