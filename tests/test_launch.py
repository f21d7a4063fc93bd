"""The launchers, without what they launch on: each ends in the same `jaxemb train`, with the flags it was given."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[1] / "launch"
FLAGS = ["--config", "a b.yaml", "--output-dir", "RUN"]


@pytest.fixture
def commands(tmp_path):
    """A folder of commands that write down how they were called; `fails` makes one leave with another exit code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = (
        '#!/bin/bash\nprintf "%s" "$(basename "$0")" >> "$CALLS"; printf " %q" "$@" >> "$CALLS"; echo >> "$CALLS"\n'
    )
    for name in ("srun", "scontrol", "jaxemb", "python3"):
        (folder / name).write_text(script + f'exit "${{{name}_exits:-0}}"\n')
    # Runs what it is told to run, as the hosts of a slice would.
    (folder / "gcloud").write_text('#!/bin/bash\nmkdir -p jaxemb\nexec bash -c "${@: -1}"\n')
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


def run(commands, script, *arguments, **variables):
    """Runs a script among the fake commands; returns its exit code, its output, and the calls."""
    calls = commands.parent / "calls"
    calls.write_text("")
    environment = {"PATH": f"{commands}:{os.environ['PATH']}", "CALLS": str(calls), **variables}
    done = subprocess.run(
        [*map(str, script), *arguments], env=environment, cwd=commands.parent, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr, [shlex.split(line) for line in calls.read_text().splitlines()]


def test_local_prints_what_it_would_run():
    command = [sys.executable, LAUNCH / "local.py", "--processes", "3", "--cpu-devices", "2", "--dry-run", "--", *FLAGS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 3
    for index, line in enumerate(lines):
        words = shlex.split(line)
        assert words[-8:] == [sys.executable, "-m", "jaxemb", "train", *FLAGS]
        assert {"JAX_NUM_PROCESSES=3", f"JAX_PROCESS_ID={index}", "JAX_NUM_CPU_DEVICES=2"} <= set(words)
    assert len({re.search(r"JAX_COORDINATOR_ADDRESS=(\S+)", line)[1] for line in lines}) == 1
    command[-len(FLAGS) - 2 : -len(FLAGS) - 1] = ["--gpus", "--dry-run"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert ["CUDA_VISIBLE_DEVICES=2" in line for line in lines] == [False, False, True]
    assert "JAX_PLATFORMS" not in lines[0]


@pytest.mark.parametrize("gone", [False, True])
def test_a_worker_ends_whose_launcher_went_before_it_began(gone):
    code = f"import os, local; local.end_with_parent(os.getppid() + {int(gone)})"
    done = subprocess.run([sys.executable, "-c", code], cwd=LAUNCH)
    assert done.returncode == (128 + signal.SIGTERM if gone else 0)


def test_slurm_runs_and_requeues_after_exit_code_75_alone(commands):
    script = [LAUNCH / "slurm.sh"]
    wanted = ["srun", "--kill-on-bad-exit=0", "jaxemb", "train", *FLAGS, "--resume"]
    assert run(commands, script, *FLAGS) == (0, "", [wanted])
    assert run(commands, script, *FLAGS, srun_exits="1") == (1, "", [wanted])
    stopped = run(commands, script, *FLAGS, srun_exits="75", SLURM_JOB_ID="42")
    assert stopped == (75, "", [wanted, ["scontrol", "requeue", "42"]])
    code, shown, calls = run(commands, script, "--dry-run", *FLAGS)
    assert (code, calls) == (0, [])
    assert shown.startswith("srun --kill-on-bad-exit=0 jaxemb train --config")


def test_tpu_vm_passes_flags_whole_to_all_hosts(commands):
    script = [LAUNCH / "tpu_vm.sh"]
    code, shown, calls = run(commands, script, "slice", "us-central1-a", *FLAGS)
    assert code == 0, shown
    assert calls[-1] == ["jaxemb", "train", *FLAGS, "--distributed", "--resume"]
    code, shown, calls = run(commands, script, "--dry-run", "slice", "us-central1-a", *FLAGS)
    assert (code, calls) == (0, [])
    assert "gcloud compute tpus tpu-vm ssh slice --zone us-central1-a --worker=all --command" in shown
    assert run(commands, script, "slice")[0] == 2


def test_skypilot_tells_each_node_its_number(commands):
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    variables = {
        **task["envs"],
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        "SKYPILOT_NUM_NODES": str(task["num_nodes"]),
    }
    script = f'set -eu\n{task["run"]}\necho "$JAX_COORDINATOR_ADDRESS $JAX_NUM_PROCESSES $JAX_PROCESS_ID"'
    code, shown, calls = run(commands, ["bash", "-c", script], **variables, SKYPILOT_NODE_RANK="1")
    assert (code, shown) == (0, "10.0.0.1:12345 2 1\n")
    assert calls == [["jaxemb", "train", *task["envs"]["FLAGS"].split(), "--resume"]]
    assert task["envs"]["XDG_CACHE_HOME"].startswith(*task["file_mounts"])


@pytest.mark.parametrize("name", ["gke_tpu", "gke_gpu"])
def test_job_sets(name):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    job_set = yaml.safe_load((LAUNCH / f"{name}.yaml").read_text())
    assert (job_set["apiVersion"], job_set["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert job_set["spec"]["failurePolicy"]["maxRestarts"] > 0
    (replicated,) = job_set["spec"]["replicatedJobs"]
    # A job set's own fields have no schema there; those of the jobs and pods in it have.
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, **replicated["template"]}
    kubernetes_validate.validate(job, "1.31", strict=True)
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["parallelism"] == spec["completions"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"][:2] == ["jaxemb", "train"]
    assert "--resume" in container["command"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    mounted = [one["mountPath"] for one in container["volumeMounts"]]
    assert container["args"][-1].startswith(mounted[0])
    assert environment["XDG_CACHE_HOME"].startswith(mounted[0])
    if name == "gke_tpu":
        rows, columns = map(
            int, spec["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")
        )
        assert rows * columns == spec["completions"] * container["resources"]["limits"]["google.com/tpu"]
        assert "--distributed" in container["command"]
    else:
        host, port = environment["JAX_COORDINATOR_ADDRESS"].split(":")
        set_name = job_set["metadata"]["name"]
        assert host == f"{set_name}-{replicated['name']}-0-0.{set_name}"
        assert int(port) == container["ports"][0]["containerPort"]
        assert int(environment["JAX_NUM_PROCESSES"]) == spec["completions"]


def test_every_launcher_is_in_the_table():
    table = (LAUNCH / "README.md").read_text()
    for path in LAUNCH.iterdir():
        assert path.name == "README.md" or f"launch/{path.name}" in table, path.name


def with_flags(platform, code):
    """Runs Python after `source launch/xla_flags.sh PLATFORM`."""
    quiet = {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-8",
             "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}  # fmt: skip
    flags = shlex.quote(str(LAUNCH / "xla_flags.sh"))
    command = f"source {flags} {platform} && exec {sys.executable} -c {shlex.quote(code)}"
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=environment | quiet,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_xla_knows_its_flags():
    """A flag that is none ends a process."""
    done = with_flags("gpu", "import jax; print(len(jax.devices()))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    assert with_flags("neither", "").returncode == 0
    assert "gpu, or tpu" in with_flags("neither", "").stderr


def test_libtpu_knows_its_flags():
    pytest.importorskip("libtpu", reason="libtpu is not installed")
    topology = "topologies.get_topology_desc(platform='tpu', topology_name='v5e:2x2')"
    look = f"from jax.experimental import topologies; print(len({topology}.devices))"
    done = with_flags("tpu", look)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
    wrong = f"import os; os.environ['LIBTPU_INIT_ARGS'] += ' --xla_tpu_no_such_flag=true'; {look}"
    assert with_flags("tpu", wrong).returncode != 0
