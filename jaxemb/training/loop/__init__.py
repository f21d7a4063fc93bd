"""The training loop, and what happens beside its steps."""
