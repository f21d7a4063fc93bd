"""What a training step is made of, and what compiles it."""
