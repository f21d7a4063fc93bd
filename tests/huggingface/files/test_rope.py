"""Rotary settings, wherever they stand."""

import json
from pathlib import Path

import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface.files.configs import encoder_config_json, read_encoder_config
from jaxemb.huggingface.files.rope import modernbert_rope, qwen3_rope
from support.model_folders import changed
from support.tiny_models import ENCODERS


def test_no_base_for_local_layers_is_that_of_global_ones(tmp_path):
    """As in transformers 4; version 5 does not build the model."""
    path, written = tmp_path / "config.json", encoder_config_json(ENCODERS["modernbert"])
    path.write_text(json.dumps(written | {"local_rope_theta": None, "global_rope_theta": 70.0}))
    assert read_encoder_config(path).local_rope_theta == 70.0
    path.write_text(json.dumps(changed(written, {"local_rope_theta": None, "global_rope_theta": ...})))
    assert read_encoder_config(path).local_rope_theta == 160_000.0
    path.write_text(json.dumps(changed(written, {"local_rope_theta": ...})))
    assert read_encoder_config(path).local_rope_theta == 10_000.0


def test_qwen3_s_base_stands_in_any_of_three_places():
    path = Path("config.json")
    assert qwen3_rope({}, path) == {}
    assert qwen3_rope({"rope_theta": 7.0}, path) == {"rope_theta": 7.0}
    assert qwen3_rope({"rope_theta": 7.0, "rope_parameters": {"rope_theta": 8.0}}, path) == {"rope_theta": 8.0}
    both = {"rope_parameters": {"rope_theta": 8.0}, "rope_scaling": {"rope_theta": 9.0, "type": "default"}}
    assert qwen3_rope(both, path) == {"rope_theta": 9.0}


@pytest.mark.parametrize("read", [qwen3_rope, modernbert_rope])
def test_positions_that_are_stretched_are_refused(read):
    for group, message in (
        ({"rope_type": "yarn", "factor": 4.0}, "supported: rope_type 'default'"),
        ({"rope_type": "default", "factor": 4.0}, "are not supported: factor is not known here"),
        ("linear", "supported: rope_type 'default'"),
    ):
        with pytest.raises(UserError, match=rf"config\.json: rotary positions .*{message}"):
            read({"rope_scaling": group}, Path("config.json"))
