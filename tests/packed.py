"""Padded tokens packed, for tests of what takes both."""

import numpy as np

from jaxemb.data.packing import lay_out, pack


def packed(tokens, devices=1, length=None):
    """The same texts, several a row of `length` tokens, `devices` groups packed apart."""
    mask = np.asarray(tokens["attention_mask"]).astype(bool)
    length = length or mask.shape[1]
    lengths = mask.sum(axis=1).reshape(devices, -1)
    layout = pack(lengths, length)
    rest = {key: value for key, value in tokens.items() if key not in ("input_ids", "attention_mask")}
    return lay_out(layout, layout.rows, length, lengths, np.asarray(tokens["input_ids"])[mask], 0) | rest
