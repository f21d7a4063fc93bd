"""Padded tokens packed, for tests of what takes both."""

import numpy as np

from jaxemb.packing import lay_out_groups, pack


def packed(tokens, devices=1, length=None):
    """The same texts, several a row of `length` tokens, `devices` groups packed apart."""
    mask = np.asarray(tokens["attention_mask"]).astype(bool)
    length = length or mask.shape[1]
    texts = [ids[real] for ids, real in zip(np.asarray(tokens["input_ids"]), mask, strict=True)]
    groups = [pack(lengths, (length,)) for lengths in mask.sum(axis=1).reshape(devices, -1).tolist()]
    rest = {key: value for key, value in tokens.items() if key not in ("input_ids", "attention_mask")}
    return lay_out_groups(groups, max(map(len, groups)), length, texts, pad_id=0) | rest
