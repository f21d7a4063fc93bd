"""What people read of a run: the terminal, the page, plots, the model card."""
