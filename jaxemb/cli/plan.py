"""`jaxemb plan`: predicts whether a config fits accelerators that are not here, and how long a step takes on them."""

import argparse
import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxemb.errors import UsageError

if TYPE_CHECKING:
    from jaxemb.config import TrainConfig
    from jaxemb.planning import Plan

EPILOG = """The training step of the config is compiled for the topology, without such a device:
for TPUs by libtpu (pip install 'jaxemb[tpu]'), as in v5e:4x4, v6e:16x16, v4:2x2x4, v5p:4x4x4, tpu7x:2x2x2;
for GPUs by JAX's CUDA plugin (pip install jax-cuda12-plugin, of jax's version), as in a100:8, h100:8, h200:8.

Memory is what the compiler reports. Floating-point operations are counted from the shapes of the model. Traffic between
devices is read from the compiled program, assuming ring algorithms; traffic to other slices (or nodes) is shown
separately. Times assume the vendors' peak rates, which no step reaches: a LaBSE step on an H200 reached a quarter of
them (docs/performance.md). Each text has `data.max_length` tokens, the worst case, unless --tokens gives another
number. Examples, with tables: docs/scaling.md.

The environment variables of the config need not be set. If `model.init_from` or `tokenizer.path` is not on this
machine, give the size of the vocabulary: --model.encoder.vocab-size 501153. Further flags override the config, as in
`jaxemb train`. Exit code 1: the config does not fit."""
_QUIET = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""Keeps libtpu from looking for a TPU machine, and from locking out another process that compiles."""


def run(argv: Sequence[str]) -> int:
    """Parses the command line, compiles and prints."""
    parser = argparse.ArgumentParser(
        prog="jaxemb plan",
        description="Predict whether a config fits accelerators that are not here, and how long a step takes on them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        required=True,
        help="the config of a run, or the name of a shipped config",
    )
    parser.add_argument(
        "--topology",
        metavar="NAME",
        required=True,
        help="kind and shape of a TPU slice, such as v5e:4x4, or kind and number of GPUs of a node, such as h100:8",
    )
    parser.add_argument("--slices", metavar="N", type=int, default=1, help="number of slices, or nodes, of that shape")
    parser.add_argument("--tokens", metavar="N", type=int, help="tokens of each text (default: data.max_length)")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="compile faster, without optimization; the memory of TPUs is then within 10 %%",
    )
    parser.add_argument(
        "--suggest", action="store_true", help="also look for the least remat and the largest batch that fit"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers to this file")
    arguments, flags = parser.parse_known_args(argv)
    os.environ |= _QUIET
    if arguments.fast:
        os.environ["JAX_OPTIMIZATION_LEVEL"] = "O0"
    config = _config(arguments.config, flags)
    import jax

    # A program that is compiled for other devices cannot be loaded from the cache here.
    jax.config.update("jax_enable_compilation_cache", False)

    from jaxemb.planning import describe, devices_of, make_plan

    if arguments.slices < 1:
        raise UsageError(f"--slices is {arguments.slices}: it must be 1 or more")
    devices = devices_of(arguments.topology, arguments.slices)

    def plan(remat: str, batch_size: int) -> "Plan":
        model = config.model.model_copy(update={"remat": remat})
        training = config.training.model_copy(update={"batch_size": batch_size})
        changed = config.model_copy(update={"model": model, "training": training})
        return make_plan(changed, devices, arguments.tokens)

    wanted = plan(config.model.remat, config.training.batch_size)
    slices = f" x {arguments.slices} slices" if arguments.slices > 1 else ""
    print(f"{arguments.config} on {arguments.topology}{slices}")
    for line in describe(wanted, config):
        print(f"  {line}")
    if arguments.json:
        from jaxemb.files import write_atomically

        values = {
            **dataclasses.asdict(wanted),
            "sent": wanted.sent,
            "crossing": wanted.crossing,
            "seconds": wanted.seconds,
            "steps": config.training.steps,
        }
        write_atomically(arguments.json, json.dumps(values, indent=1))
    if arguments.suggest:
        for line in _suggestions(plan, wanted, config):
            print(line, flush=True)
    return 0 if wanted.fits else 1


def _config(path: Path, flags: Sequence[str]) -> "TrainConfig":
    """The config, with the size of its vocabulary filled in.

    Raises:
      UsageError: if the size is not known.
    """
    from jaxemb.config import files as config_files
    from jaxemb.config import shipped

    path = shipped.locate(path)
    for name in set(re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8") if path.is_file() else "")):
        os.environ.setdefault(name, "not-read")
    config = config_files.load_config(path, flags, "jaxemb plan")
    model = config.model
    size = model.encoder.vocab_size
    start, path_of = model.init_from, config.tokenizer.path
    if start is not None and (json_path := Path(start).expanduser() / "config.json").is_file():
        from jaxemb.huggingface.files.configs import read_encoder_config
        from jaxemb.training.resolve import encoder_to_train

        encoder = encoder_to_train(model.encoder, read_encoder_config(json_path))
        model = model.model_copy(update={"encoder": encoder})
        size = model.encoder.vocab_size
    elif size is None and start is None and path_of is not None and Path(path_of).expanduser().is_dir():
        from jaxemb.huggingface import load_tokenizer

        size = len(load_tokenizer(Path(path_of).expanduser()))
    elif size is None and (start is not None or path_of is not None):
        what = f"model.init_from: {start} has no config.json" if start else f"tokenizer.path: {path_of} is not a folder"
        raise UsageError(f"{what} here: give the size of the vocabulary with --model.encoder.vocab-size")
    encoder = model.encoder.model_copy(update={"vocab_size": size or config.tokenizer.vocab_size})
    return config.model_copy(update={"model": model.model_copy(update={"encoder": encoder})})


def _suggestions(plan: Any, wanted: "Plan", config: "TrainConfig") -> list[str]:
    """The least remat that fits this batch, and the largest batch by powers of two, with full remat."""
    lines, size = [], wanted.batch_size
    for remat in ("none", "dots", "full"):
        one = wanted if remat == config.model.remat else plan(remat, size)
        if one.fits:
            lines += [f"least remat that fits: {remat} ({one.peak / 2**30:.2f} GiB)"]
            break
    largest = None
    if lines:
        while one.fits and size < 2**24:
            largest, size = (size, one), 2 * size
            one = plan("full", size)
    else:
        while not one.fits and size // 2 >= wanted.devices:
            size //= 2
            one = plan("full", size)
        largest = (size, one) if one.fits else None
    if largest is None:
        return ["no batch fits, even with full remat: split the parameters (--mesh.fsdp), or use more devices"]
    return [*lines, f"largest batch that fits, by powers of two, with full remat: {largest[0]:,}"]
