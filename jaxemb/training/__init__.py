"""The training loop and what it needs: state, step, checkpoints, metrics, run directory."""
