"""The suites, one file each. To add the suite NAME, write NAME.py with an `ENTRY`; nothing else lists the suites.

`jaxemb evaluate --help` imports these files, so they import jax only inside functions.
"""

import importlib
import pkgutil

from jaxemb.evaluation.suite import Command, Entry, InRuns


def suites() -> dict[str, Entry]:
    """The entries of all suites by name, sorted by `order`.

    Raises:
      ValueError: if an entry has another name than its file.
    """
    found = []
    for file in pkgutil.iter_modules(__path__):
        entry: Entry = importlib.import_module(f"{__name__}.{file.name}").ENTRY
        if entry.name != file.name:
            raise ValueError(f"the suite in {file.name}.py has the name {entry.name!r}: both must be the same")
        found.append(entry)
    return {entry.name: entry for entry in sorted(found, key=lambda entry: (entry.order, entry.name))}


def commands() -> dict[str, Command]:
    """The suites that `jaxemb evaluate` offers."""
    return {name: entry.command for name, entry in suites().items() if entry.command is not None}


def in_runs() -> dict[str, InRuns]:
    """The suites that score runs."""
    return {name: entry.in_runs for name, entry in suites().items() if entry.in_runs is not None}
