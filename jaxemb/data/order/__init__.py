"""The training order: which example is at which position of a run."""
