"""`jaxemb train`: one run, from config to export."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jaxemb.config import (
    DataConfig,
    EvaluationConfig,
    FilterConfig,
    GettextSource,
    LanguageIdentification,
    LoraConfig,
    MosesSource,
    NearDuplicates,
    NgramOverlap,
    Prompt,
    SbertClassification,
    StackingConfig,
    Stage,
    StsConfig,
    TrainConfig,
    TrainingConfig,
    TsvSource,
)
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.signals import StopRequest

DESCRIPTION = """Train an embedder from a YAML config. Flags override its values: each setting below is one.

jaxemb train --config FILE|NAME [--output-dir RUN] [--resume] [--seeds N ...] [--quiet] [--profile N] [SETTINGS]

--config FILE: the run's config; with --help, its values are the defaults shown.
--config NAME: a config that ships with jaxemb, such as quickstart; `jaxemb configs` lists them.
--resume: continue the run in the output directory from its newest checkpoint; start it if there is none.
--seeds N ...: train one run per seed, in RUN/seed-N; show the mean and standard deviation of their scores, and write
them to RUN/seeds.json.
--quiet: print nothing but errors.
--profile N: trace N steps, shortly after the first, to RUN/profile, for xprof and TensorBoard.

RUN may be a URL, such as gs://BUCKET/RUN. The run then trains in a local mirror, in runs/ of the cache folder
(data.cache_dir), and commits each checkpoint to the URL, whole or not at all, while training continues. --resume
continues it on any machine.

For a run of several processes, which share the output directory, see launch/. jaxemb detects SLURM (srun), Open MPI
and the environment variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. The flags:
--coordinator-address HOST:PORT: address of process 0.
--num-processes N: number of processes of the run.
--process-id I: number of this process, from 0.
--distributed: let JAX detect the cluster (a TPU slice of several hosts).
--connect-timeout SECONDS: time within which all processes must connect (300).
--heartbeat-timeout SECONDS: silence after which a process counts as dead and all others exit (20)."""


def run(argv: Sequence[str]) -> int:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(prog="jaxemb train", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--profile", type=int, default=0)
    parser.add_argument("--coordinator-address")
    parser.add_argument("--num-processes", type=int)
    parser.add_argument("--process-id", type=int)
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--connect-timeout", type=float, default=300.0)
    parser.add_argument("--heartbeat-timeout", type=float, default=20.0)
    arguments, flags = parser.parse_known_args(argv)
    if "--help" in flags or "-h" in flags:
        _help(arguments.config)
    if arguments.config is None:
        raise UsageError(
            "--config FILE is missing; `jaxemb configs` lists configs that ship with jaxemb, "
            "`jaxemb train --help` shows every setting"
        )
    if arguments.profile < 0 or (arguments.profile and arguments.seeds):
        raise UsageError(f"--profile {arguments.profile}: give a number of steps, and leave --seeds out")
    config = config_files.load_config(arguments.config, flags)
    with StopRequest():  # importing jax takes seconds
        from jaxemb import distributed
        from jaxemb.reporting.summary import print_result, print_seeds
        from jaxemb.training.run import train
        from jaxemb.training.seeds import train_seeds

    distributed.initialize(
        arguments.coordinator_address,
        arguments.num_processes,
        arguments.process_id,
        detect=arguments.distributed,
        timeout=arguments.connect_timeout,
        heartbeat=arguments.heartbeat_timeout,
    )
    if arguments.seeds is not None:
        scores = train_seeds(config, arguments.seeds, resume=arguments.resume, quiet=arguments.quiet)
        if not arguments.quiet and distributed.is_first():
            print_seeds(scores)
        return 0
    result = train(config, resume=arguments.resume, quiet=arguments.quiet, profile=arguments.profile)
    if not arguments.quiet and distributed.is_first():
        print_result(result)
    return 0


def _help(path: Path | None) -> None:
    """Prints every field, with the values of the file, or of an example with all that is optional."""
    if path is not None:
        config = config_files.validate_file(path)
    else:
        sources = (
            GettextSource(packages=("Django",)),
            TsvSource(path="en-de.tsv"),
            MosesSource(anchor_path="corpus.en", positive_path="corpus.de", positive_lang="de"),
        )
        evaluation = EvaluationConfig(sts=StsConfig(paths=("stsb/en.dev.csv",)))
        stacking = StackingConfig(stages=(Stage(layers=6, steps=500),))
        training = TrainingConfig(steps=1000, stacking=stacking)
        data = DataConfig(
            sources=sources,
            filters=FilterConfig(identify_language=LanguageIdentification()),
            exclude_ngrams=NgramOverlap(),
            near_duplicates=NearDuplicates(),
        )
        config = TrainConfig(data=data, training=training, evaluation=evaluation)
        shown = {"lora": LoraConfig(), "prompts": (Prompt(name="query", text="query: "),)}
        update = {"model": config.model.model_copy(update=shown), "objectives": {"nli": SbertClassification()}}
        config = config.model_copy(update=update)
    config_files.override(config, ["--help"], "jaxemb train", DESCRIPTION)
