#!/bin/bash
# A run on all hosts of a Cloud TPU slice, made before by `gcloud compute tpus tpu-vm create`.
#
#   launch/tpu_vm.sh NAME ZONE --config labse_finetune --output-dir RUN
#   launch/tpu_vm.sh --dry-run NAME ZONE --config ...        # prints what would run
#
# RUN and the cache (XDG_CACHE_HOME) lie on a file system that all hosts share (Filestore, say). A slice that was preempted
# is made anew; the same command goes on from the last checkpoint.
set -euo pipefail

run=()
if [ "${1:-}" = --dry-run ]; then
  shift
  run=(echo)
fi
if [ $# -lt 3 ]; then
  echo "usage: $0 [--dry-run] NAME ZONE FLAGS OF jaxemb train" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
printf -v flags '%q ' "$@"
"${run[@]}" gcloud compute tpus tpu-vm ssh "$name" --zone "$zone" --worker=all --command \
  "cd jaxemb && python3 -m pip install -q -e '.[tpu]' && jaxemb train ${flags}--distributed --resume"
