"""The run directory: its layout, checkpoints, metrics and results."""
