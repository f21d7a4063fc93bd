#!/bin/bash
# A real SLURM of one host, and in it launch/slurm.sh with two tasks: SIGTERM, requeue, and the run goes on to its end.
#
#   apt-get install slurm-wlm munge; tests/slurm/run.sh       # as root, with jaxemb on the PATH; two minutes
#
# What it printed once is in docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/state" "$work/spool" "$work/data"
export SLURM_CONF=$work/slurm.conf XDG_CACHE_HOME=$work/cache JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=2
job=
stop() {
  if [ -n "$job" ] && scancel --full "$job" 2>/dev/null; then sleep 2; fi
  for daemon in slurmctld slurmd munged; do
    [ ! -f "$work/$daemon.pid" ] || kill "$(cat "$work/$daemon.pid")" 2>/dev/null || true
  done
}
trap stop EXIT
say() { printf '%s\n' "--- $*"; }
fail() {
  say "$*"
  tail -n 30 "$work"/*.out "$work"/slurm*.log
  exit 1
}
wait_for() { # wait_for SECONDS PATTERN FILE
  for _ in $(seq "$1"); do
    if grep -q -- "$2" "$3" 2>/dev/null; then return; fi
    sleep 1
  done
  fail "$1 s without '$2' in $3"
}

cat > "$work/slurm.conf" <<EOF
ClusterName=one
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$work/munge.socket,cred_expire=10
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
EOF
(umask 077 && head -c 128 /dev/urandom > "$work/munge.key")
munged --force --socket="$work/munge.socket" --key-file="$work/munge.key" --pid-file="$work/munged.pid" \
  --log-file="$work/munged.log" --seed-file="$work/munged.seed"
slurmctld
slurmd
for _ in $(seq 30); do
  if sinfo --noheader --states=idle | grep -q idle; then break; fi
  sleep 1
done
say "$(sinfo --version): $(sinfo --noheader --format='%P %D node, %c CPUs, %t')"

python - "$work" <<'EOF'
import random
import sys
from pathlib import Path

import yaml

work, draw = Path(sys.argv[1]), random.Random(0)
words = "one two three four five six seven eight red green blue house tree sun moon cat dog".split()
lines = []
for number in range(300):
    chosen = draw.choices(words, k=draw.randint(2, 8))
    lines.append(f"{' '.join(chosen)} {number}\t{' '.join(word[::-1] for word in chosen)} {number}\n")
(work / "data" / "en-fr.tsv").write_text("".join(lines))
encoder = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
config = {
    "data": {"root": str(work / "data"), "sources": [{"kind": "tsv", "path": "en-fr.tsv"}], "max_length": 16,
             "holdout": {"pairs_per_language": 20}},
    "tokenizer": {"vocab_size": 120},
    "model": {"encoder": encoder, "pooling": "mean", "dense": None},
    "objective": {"kind": "labse", "scale": 20.0, "margin": 0.1},
    "optimizer": {"learning_rate": 1e-3, "warmup_steps": 2},
    "training": {"steps": 800, "batch_size": 32, "checkpoint_every": 400, "log_every": 100},
    "evaluation": {"pool_size": 20},
    "export": {"verify": "jax"},
}
(work / "config.yaml").write_text(yaml.safe_dump(config))
EOF

output=$work/job.out
job=$(sbatch --parsable --ntasks=2 --output="$output" launch/slurm.sh --config "$work/config.yaml" --output-dir "$work/run")
say "job $job: launch/slurm.sh with two tasks"
wait_for 180 "first step done" "$output"
say "SIGTERM to both tasks"
scancel --signal=TERM "$job.0"
wait_for 60 "a checkpoint is written" "$output"
wait_for 120 "resuming after step" "$output"
say "requeued: $(squeue --noheader --job "$job" --format='%T' | head -n 1)"
wait_for 300 "exported to" "$output"
for _ in $(seq 60); do # the job ends some time after its last line
  state=$(scontrol show job "$job" --oneliner | grep -o 'JobState=[A-Z]*\|Restarts=[0-9]*' | tr '\n' ' ')
  case $state in *COMPLETED*) break ;; esac
  sleep 1
done
say "$state"
grep -e "run directory" -e "stopped after" -e "resuming after" -e "held-out retrieval" -e "exported to" "$output" | cut -c1-120
case $state in *JobState=COMPLETED*Restarts=1* | *Restarts=1*JobState=COMPLETED*) say "passed" ;; *) fail "not completed" ;; esac
