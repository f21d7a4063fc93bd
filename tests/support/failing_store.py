"""A store that fails: a file system for fsspec whose every third read raises."""

from fsspec.implementations.memory import MemoryFileSystem


class FailingFileSystem(MemoryFileSystem):
    """`failing://`: raises at every third read, or always."""

    protocol = "failing"
    store, pseudo_dirs = {}, [""]
    every = 3
    calls = 0
    short = False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("failing://", "memory://"))

    def _open(self, path, mode="rb", **settings):
        file = super()._open(path, mode, **settings)
        return _Failing(file) if mode == "rb" else file


class _Failing:
    def __init__(self, file):
        self._file, self._at, self.size = file, 0, file.size

    def tell(self):
        return self._at

    def seek(self, offset):
        self._at = offset

    def read(self, count):
        FailingFileSystem.calls += 1
        if FailingFileSystem.calls % FailingFileSystem.every == 0:
            raise ConnectionError("reset by peer")
        if FailingFileSystem.short and FailingFileSystem.calls % 2:
            return b""
        self._file.seek(self._at)
        data = self._file.read(min(count, 10_000))
        self._at += len(data)
        return data

    def close(self):
        pass
