#!/bin/bash
# A run of many processes under SLURM, one for each GPU (or node), that goes on after a preemption or the time limit.
#
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh --config labse_finetune --output-dir RUN
#   launch/slurm.sh --dry-run --config ...        # prints what would run
#
# RUN and the cache (XDG_CACHE_HOME) lie on a file system that all nodes share. jaxemb finds SLURM's numbers by itself.
#SBATCH --job-name=jaxemb
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
#SBATCH --signal=TERM@120
# ^ two minutes before the time limit all processes get SIGTERM, write a checkpoint and leave with exit code 75.
set -uo pipefail

run=()
if [ "${1:-}" = --dry-run ]; then
  shift
  run=(echo)
fi
# Processes end each other; SLURM killing those that are still leaving would hide exit code 75.
"${run[@]}" srun --kill-on-bad-exit=0 jaxemb train "$@" --resume
code=$?
if [ "$code" -eq 75 ]; then
  "${run[@]}" scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
