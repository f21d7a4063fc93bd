"""The run directory: what lies where, checkpoints, metrics and results."""
