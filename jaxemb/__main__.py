"""`python -m jaxemb`."""

import sys

from jaxemb.cli import main

if __name__ == "__main__":
    sys.exit(main())
