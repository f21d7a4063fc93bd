"""One of two processes that train a config with several objectives."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


def environment():
    """Of the two processes."""
    path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": path}


def main(port: str, number: str, config: str) -> None:
    """Trains."""
    from jaxemb import distributed

    distributed.initialize(f"localhost:{port}", 2, int(number))
    import jaxemb

    jaxemb.train(config, quiet=True)
    distributed.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
