# Flags of XLA that let collectives run beside arithmetic, by platform; in the environment of every process of a run:
#
#   source launch/xla_flags.sh gpu        # or tpu
#
# XLA hides latency on TPUs by itself; these make it do so for more kinds of collectives. None was measured by us, who
# have had no machine with several accelerators: compare `examples_per_second` of metrics.jsonl with and without.
case "${1:-}" in
gpu)
  # Schedule what is sent early and what waits late; combine small collectives, one layer's with the next one's.
  XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_enable_latency_hiding_scheduler=true"
  XLA_FLAGS+=" --xla_gpu_all_reduce_combine_threshold_bytes=134217728"
  XLA_FLAGS+=" --xla_gpu_all_gather_combine_threshold_bytes=134217728"
  XLA_FLAGS+=" --xla_gpu_reduce_scatter_combine_threshold_bytes=67108864"
  export XLA_FLAGS
  ;;
tpu)
  # Fuse collectives with the products around them, also gathers of parameters (mesh.fsdp) and sums over mesh.data.
  LIBTPU_INIT_ARGS="${LIBTPU_INIT_ARGS:-} --xla_tpu_enable_async_collective_fusion=true"
  LIBTPU_INIT_ARGS+=" --xla_tpu_enable_async_collective_fusion_fuse_all_gather=true"
  LIBTPU_INIT_ARGS+=" --xla_tpu_overlap_compute_collective_tc=true --xla_enable_async_all_gather=true"
  LIBTPU_INIT_ARGS+=" --xla_tpu_enable_data_parallel_all_reduce_opt=true"
  LIBTPU_INIT_ARGS+=" --xla_tpu_data_parallel_opt_different_sized_ops=true"
  export LIBTPU_INIT_ARGS
  ;;
*)
  echo "source launch/xla_flags.sh gpu, or tpu" >&2
  ;;
esac
