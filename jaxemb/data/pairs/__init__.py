"""Pairs one by one: what a record is, how it is cleaned, and which are kept out of training."""
