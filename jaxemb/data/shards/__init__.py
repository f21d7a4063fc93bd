"""Prepared, tokenised examples in ArrayRecord shards, with a manifest: written once, read by position."""
