"""Checks that sentence-transformers 5 and 6 (with transformers 4 and 5) read our exports; prints a Markdown page.

    python benchmarks/sentence_transformers_versions.py --work DIR > docs/sentence_transformers_versions.md

The script exports tiny models of every family and head. For each version it makes an environment in DIR; all of them
share one installation of torch. There it embeds texts in many scripts and compares the embeddings with ours. It fails
if a value differs by more than 1e-5.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from jaxemb.config import DenseConfig, Prompt
from jaxemb.encoding import Embedder, Towers
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.verify import SENTENCES, TOLERANCE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.tiny_models import ENCODERS, tiny_embedder

TORCH = "torch==2.13.0"
VERSIONS = {
    "5.0": ("sentence-transformers==5.0.0", "transformers==4.51.3"),
    "5.1": ("sentence-transformers==5.1.2", "transformers==4.57.6"),
    "5.newest": ("sentence-transformers==5.*", "transformers>=5"),
    "6.newest": ("sentence-transformers==6.*", "transformers>=5"),
}
TEXTS = [*SENTENCES, "x " * 60, "敏捷" * 40]
READER = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import sentence_transformers, transformers
folder, texts = sys.argv[1], json.load(open(sys.argv[1] + "/texts.json"))
print(sentence_transformers.__version__, transformers.__version__)
for name, method in json.load(open(folder + "/names.json")):
    try:
        model = sentence_transformers.SentenceTransformer(f"{folder}/{name}", device="cpu", local_files_only=True)
        rows = getattr(model.float(), method)(texts, batch_size=8, show_progress_bar=False)
        np.save(sys.argv[2] + f"/{name}.{method}.npy", np.asarray(rows, np.float32))
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
"""


def models() -> dict[str, tuple[Embedder, str]]:
    """The models by name, each with the type of its weights."""
    mean = {"pooling": "mean", "dense": None}
    prompts = (Prompt(name="query", text="query: "), Prompt(name="document", text="document: "))
    found = {
        "bert, cls, tanh": tiny_embedder(),
        "bert, layer norm, dense": tiny_embedder(
            pooling="mean", layer_norm=True, dense=DenseConfig(out_features=8, activation="gelu"), normalize=False
        ),
        "bert, cls+max+mean": tiny_embedder(pooling=("cls", "max", "mean"), dense=None),
        "bert, sqrt": tiny_embedder(pooling="mean_sqrt_len_tokens", dense=None),
        "bert, weighted": tiny_embedder(pooling="weightedmean", dense=None),
        "bert, prompt left out": tiny_embedder(**mean, prompts=prompts, include_prompt=False).with_prompt("query: "),
        "bert, prompt": tiny_embedder(**mean, prompts=prompts, prompt="query: "),
        "bert, bfloat16": tiny_embedder(**mean),
        "roberta, mean": tiny_embedder(encoder=ENCODERS["roberta"], **mean),
        "xlm-roberta, cls": tiny_embedder(encoder=ENCODERS["xlm-roberta"], dense=None),
        "distilbert, mean": tiny_embedder(encoder=ENCODERS["distilbert"], **mean),
        "mpnet, mean": tiny_embedder(encoder=ENCODERS["mpnet"], **mean),
        "modernbert, cls": tiny_embedder(encoder=ENCODERS["modernbert"], dense=None),
        "qwen3, last token": tiny_embedder(encoder=ENCODERS["qwen3"], pooling="lasttoken", dense=None),
    }
    return {name: (embedder, "bfloat16" if "bfloat16" in name else "float32") for name, embedder in found.items()}


def run(*command: str, **more: str) -> str:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"} | more
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def make_environment(folder: Path, *packages: str, over: Path | None = None) -> Path:
    """Makes a virtual environment that also sees the packages of `over`, and returns its Python."""
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        run(sys.executable, "-m", "venv", "--clear", str(folder))
        if over is not None:
            site = next(folder.glob("lib/python*/site-packages"))
            (site / "shared.pth").write_text(str(next(over.glob("lib/python*/site-packages"))))
        print(f"installing {', '.join(packages)}", file=sys.stderr)
        run(str(python), "-m", "pip", "install", "--quiet", "--no-compile", *packages)
        (folder / "whole").touch()
    return python


def difference(ours: np.ndarray, path: Path) -> float:
    """The largest difference, divided by the length of the longest embedding if that is above 1 (as in `verify`)."""
    if not path.exists():
        return float("inf")
    theirs = np.load(path)
    if theirs.shape != ours.shape:
        return float("inf")
    return float(np.abs(theirs - ours).max()) / max(1.0, float(np.linalg.norm(ours, axis=1).max()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder of the environments, kept (default: a temporary one)")
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work, exports = arguments.work or Path(temporary), Path(temporary) / "exports"
        ours, methods = {}, []
        with jax.default_matmul_precision("highest"):
            for number, (name, (embedder, dtype)) in enumerate(models().items()):
                export(embedder, exports / str(number), verify="jax", dtype=dtype)
                ours[name] = load_model(exports / str(number)).encode(TEXTS, batch_size=8)
                methods.append((str(number), "encode"))
            towers = Towers(*(tiny_embedder(seed, pooling="mean", dense=None) for seed in (0, 1)))
            export(towers, exports / "towers", verify="jax")
            for side, method in (("anchor", "encode_query"), ("positive", "encode_document")):
                ours[f"two towers, {method}"] = load_model(exports / "towers" / side).encode(TEXTS, batch_size=8)
                methods.append(("towers", method))
        (exports / "names.json").write_text(json.dumps(methods))
        (exports / "texts.json").write_text(json.dumps(TEXTS))
        make_environment(work / "torch", TORCH)
        columns = {}
        for version in arguments.versions:
            python = make_environment(work / version, *VERSIONS[version], over=work / "torch")
            found = Path(temporary) / version
            found.mkdir()
            versions = run(str(python), "-c", READER, str(exports), str(found)).splitlines()[-1]
            columns["{} / {}".format(*versions.split())] = [
                difference(rows, found / "{}.{}.npy".format(*method))
                for method, rows in zip(methods, ours.values(), strict=True)
            ]
    print("# Versions of sentence-transformers that read our exports\n")
    print(
        "`python benchmarks/sentence_transformers_versions.py` writes this page. It exports tiny models of every family"
    )
    print(
        f"and head. For each pair of versions it makes an environment, all with {TORCH}, and embeds {len(TEXTS)} texts"
    )
    print(
        "in many scripts there. The table shows the largest absolute difference from jaxemb's embeddings. The limit is"
    )
    print(f"{TOLERANCE:.0e}.\n")
    print("| sentence-transformers / transformers |", " | ".join(columns), "|")
    print("|---|" + "---|" * len(columns))
    for number, name in enumerate(ours):
        print(f"| {name} |", " | ".join(f"{column[number]:.1e}" for column in columns.values()), "|")
    return int(not all(value <= TOLERANCE for column in columns.values() for value in column))


if __name__ == "__main__":
    sys.exit(main())
