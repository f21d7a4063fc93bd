"""`jaxemb configs`: the configs that ship with jaxemb."""

import argparse
from collections.abc import Sequence

from jaxemb.config import shipped


def run(argv: Sequence[str]) -> int:
    """Lists the shipped configs, or prints one."""
    parser = argparse.ArgumentParser(
        prog="jaxemb configs",
        description="List the configs that ship with jaxemb, or print one of them.",
        epilog="`jaxemb train --config NAME` takes a name from this list.\n"
        "`jaxemb configs NAME > my.yaml` gives you a copy to edit.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this config instead of the list")
    name = parser.parse_args(argv).name
    if name is not None:
        print(shipped.path_of(name).read_text(encoding="utf-8"), end="")
        return 0
    width = max(map(len, shipped.names()))
    for name in shipped.names():
        print(f"{name:{width}}  {shipped.title(name)}")
    return 0
