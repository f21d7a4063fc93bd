"""Counts human translations per megabyte in packages, to choose the packages of the `quickstart` extra.

    python benchmarks/gettext_packages.py gramps Django         # installed packages
    python benchmarks/gettext_packages.py downloads/*.whl       # wheels, from `pip download --no-deps`

It counts pairs as in training: normalised, filtered, without duplicates. MB is the size of a wheel without its
dependencies, or the disk space of an installed package with all its dependencies.
"""

import argparse
import importlib
import importlib.metadata
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

from jaxemb.config import DataConfig, GettextSource, HoldoutConfig
from jaxemb.data import Gathered, gather
from jaxemb.data.sources.gettext import licence
from jaxemb.errors import UserError


def requirements(distribution: importlib.metadata.Distribution) -> list[str]:
    """Names of the direct dependencies that `pip install` of the package needs on this platform."""
    parsed = [Requirement(text) for text in distribution.requires or []]
    return [r.name for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def with_requirements(name: str) -> dict[str, importlib.metadata.Distribution]:
    """The installed package and all its dependencies."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [name]
    while waiting:
        distribution = importlib.metadata.distribution(waiting.pop())
        if distribution.metadata["Name"] not in found:
            found[distribution.metadata["Name"]] = distribution
            waiting += requirements(distribution)
    return found


def installed_megabytes(distribution: importlib.metadata.Distribution) -> float:
    paths = (Path(str(file.locate())) for file in distribution.files or [] if file.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def unpack(wheel: Path, folder: Path) -> str:
    """Unpacks the wheel so that it counts as installed; returns the package's name."""
    zipfile.ZipFile(wheel).extractall(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    (distribution,) = importlib.metadata.distributions(path=[str(folder)])
    return distribution.metadata["Name"]


def pairs_of(names: list[str], cache: Path) -> Gathered:
    source = GettextSource(packages=tuple(names))
    return gather(
        DataConfig(sources=(source,), holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(cache)), seed=0
    )


def describe(name: str, megabytes: float, dependencies: int, terms: str | None, data: Gathered) -> str:
    english = len({record.anchor for record in data.records()})
    large = sum(counts["train"] >= 1000 for counts in data.report["languages"].values())
    return (
        f"{name:32} {megabytes:7.1f} {data.examples:8} {data.examples / megabytes:9.0f} {english:8} "
        f"{len(data.languages):6} {large:7} {dependencies:5}  {terms}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", help="installed packages or wheels")
    parser.add_argument(
        "--languages",
        action="store_true",
        help="also print the number of pairs per language, for all packages together",
    )
    arguments = parser.parse_args()
    head = ("MB", 7), ("pairs", 8), ("pairs/MB", 9), ("English", 8), ("langs", 6), (">=1000", 7), ("deps", 5)
    print(f"{'package':32}", *(f"{title:>{width}}" for title, width in head), " licence")
    names = []
    with tempfile.TemporaryDirectory() as temporary:
        for number, package in enumerate(arguments.packages):
            wheel = Path(package) if package.endswith(".whl") else None
            try:
                name = unpack(wheel, Path(temporary) / str(number)) if wheel else package
                data = pairs_of([name], Path(temporary) / "cache")
                distribution = importlib.metadata.distribution(name)
                needed = {} if wheel else with_requirements(name)
                size = wheel.stat().st_size / 1e6 if wheel else sum(map(installed_megabytes, needed.values()))
                count = len(requirements(distribution)) if wheel else len(needed) - 1
            except UserError as error:
                print(f"{package}: {error}")
                continue
            names.append(name)
            print(describe(name, size, count, licence(distribution), data), flush=True)
        if arguments.languages and names:
            together = pairs_of(names, Path(temporary) / "cache")
            print(f"\nall together: {together.examples} pairs")
            for language, counts in sorted(together.report["languages"].items(), key=lambda item: -item[1]["train"]):
                print(f"{language:8} {counts['train']:6}")


if __name__ == "__main__":
    main()
