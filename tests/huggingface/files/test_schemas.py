"""Each key that transformers writes into config.json, changed: the encoder that transformers builds, or an error."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface.files.configs import SCHEMAS, encoder_config_json, read_encoder_config
from jaxemb.models.encoder import Encoder
from support.families import FAMILIES, batch, close, oracle, to_ours
from support.model_folders import changed
from support.tiers import sampled

pytestmark = pytest.mark.usefixtures("one_thread")
CAMEMBERT = FAMILIES["roberta"].model_copy(update={"model_type": "camembert"})
ENCODERS = {name: one for name, one in FAMILIES.items() if name in SCHEMAS} | {"camembert": CAMEMBERT}
CHANGED = {
    "architectures": ["SomeForMaskedLM"], "attention_probs_dropout_prob": 0.3, "chunk_size_feed_forward": 1,
    "classifier_pooling": "mean", "dtype": "float64", "hidden_act": "relu", "hidden_activation": "relu",
    "activation": "relu", "classifier_activation": "relu", "hidden_size": 64, "dim": 64, "head_dim": 6,
    "problem_type": "regression", "num_attention_heads": 2, "n_heads": 2, "layer_norm_eps": 0.3, "norm_eps": 0.3,
    "rms_norm_eps": 0.3, "id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2},
    "rope_theta": 50.0, "global_rope_theta": 50.0, "local_rope_theta": 30.0, "local_attention": 2, "pad_token_id": 5,
    "rope_parameters": {"rope_theta": 70.0, "rope_type": "default"}, "sliding_window": 3,
    "max_position_embeddings": 30, "tokenizer_class": "SomeTokenizer", "classifier_dropout": 0.4,
}  # fmt: skip
"""Other values where those that `another` makes would not do."""
ALWAYS = ("bert", "distilbert", "modernbert", "qwen3")
LAYERS = ("num_hidden_layers", "global_attn_every_n_layers")
"""Which must fit a list of layers beside them."""
SAME = ("xlm-roberta", "camembert")
"""Computed as RoBERTa."""
WRITTEN_BEFORE = {
    "torch_dtype": "float32", "torchscript": True, "use_bfloat16": True, "tf_legacy_loss": True,
    "tie_encoder_decoder": True, "cross_attention_hidden_size": 8, "finetuning_task": "sst-2", "prefix": "a: ",
    "tokenizer_class": "SomeTokenizer", "sep_token_id": 4, "decoder_start_token_id": 3,
    "task_specific_params": {"a": 1},
    "_name_or_path": "there", "_attn_implementation_autoset": True, "gradient_checkpointing": True, "output_past": True,
    "num_labels": 3, "max_length": 9, "num_beams": 2, "do_sample": True, "repetition_penalty": 2.0,
    "position_embedding_type": "absolute", "pruned_heads": {}, "language": "english", "name": "BERT",
    "xla_device": True, "max_seq_length": 9, "do_lower_case": True, "num_assistant_tokens": 3, "eos_token_ids": 4,
}  # fmt: skip
"""Keys of transformers before version 5, and of checkpoints that many people use."""
PUBLIC = {
    "bert": {
        "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "classifier_dropout": None,
        "embedding_size": 768, "_num_labels": 5,
    },
    "distilbert": {"tie_weights_": True, "qa_dropout": 0.1, "sinusoidal_pos_embds": False},
    "modernbert": {
        "layer_norm_eps": 1e-5, "position_embedding_type": "sans_pos", "reference_compile": False,
        "repad_logits_with_grad": False, "transformers.js_config": {"dtype": "fp32"}, "mask_token_id": 4,
    },
    "qwen3": {"sliding_window": None, "max_window_layers": 28, "rope_scaling": None},
}  # fmt: skip


def another(key, value):
    """Another value of a key, of the same type."""
    if key in CHANGED:
        return CHANGED[key]
    if key.endswith("_token_id"):
        return 4
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value * 3 + 0.1
    if isinstance(value, list):
        return value[::-1] if value[::-1] != value else [*value, *value]
    return {"new": 1} if isinstance(value, dict) else f"{value}-changed"


class Theirs:
    """The vectors that transformers gives of one checkpoint, by what config.json says."""

    def __init__(self, config, folder):
        import transformers

        self.torch, self.model = oracle(config)
        self.config, self.folder, self.path = config, folder, folder / "config.json"
        self.ids, self.mask = batch("right", config)
        self.old = encoder_config_json(config)
        """As transformers 4 writes it."""
        self.path.write_text(json.dumps(self.old))
        written = transformers.AutoConfig.from_pretrained(folder).to_json_string(use_diff=False)
        self.new = json.loads(written) | {"is_causal": getattr(config, "causal", False)}
        """As transformers 5 does, with every key."""

    def vectors(self, content):
        import transformers

        self.path.write_text(json.dumps(content))
        model = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(self.folder)).eval()
        model.load_state_dict(self.model.state_dict())
        with self.torch.no_grad():
            tokens = (self.torch.tensor(array.astype(np.int64)) for array in (self.ids, self.mask))
            found = model.float()(*tokens, return_dict=True)
        return found.last_hidden_state.numpy()[self.mask]

    def settings(self, content):
        """Ours, or why there are none."""
        self.path.write_text(json.dumps(content))
        try:
            return read_encoder_config(self.path)
        except UserError as error:
            return error

    def judge(self, content, key):
        """What becomes of a key with another value: `refused`, `harmless`, or `read` as transformers reads it."""
        content = content | {key: another(key, content[key])}
        config = self.settings(content)
        if isinstance(config, UserError):
            assert key in str(config) or (key in LAYERS and "layer_types" in str(config))
            return "refused"
        if config == self.config:
            return "harmless"
        try:
            wanted = self.vectors(content)
        except RuntimeError:
            with pytest.raises(UserError, match=r"has the shape|missing|there are"):
                to_ours(self.model, config)
            return "refused"
        close(self.vectors(encoder_config_json(config)), wanted, 1e-6)
        return "read"


@pytest.mark.parametrize("family", sampled(ALWAYS, [family for family in ENCODERS if family not in ALWAYS], draw=1))
def test_every_key_of_transformers_is_read_harmless_or_refused(family, tmp_path):
    theirs = Theirs(ENCODERS[family], tmp_path)
    judged = {key: theirs.judge(theirs.new, key) for key in theirs.new if key != "model_type"}
    harmless = {key: another(key, theirs.new[key]) for key, verdict in judged.items() if verdict == "harmless"}
    # Those that change nothing for us change nothing for transformers: all of them at once.
    harmless |= WRITTEN_BEFORE | PUBLIC.get(family, {})
    plain = theirs.vectors(theirs.new)
    assert theirs.settings(theirs.new | harmless) == theirs.config
    close(theirs.vectors(theirs.new | harmless), plain, 1e-6)
    # And those that are read are computed: all that change vectors at once.
    keys = theirs.old.keys() - {"model_type"}
    read = {key: another(key, theirs.old[key]) for key in keys if theirs.judge(theirs.old, key) == "read"}
    assert len(read) >= 5
    if family in SAME:
        return
    content = theirs.old | read
    config, wanted = theirs.settings(content), theirs.vectors(content)
    assert np.abs(wanted - plain).max() > 0.1
    run = jax.jit(Encoder(config).apply)
    found = run({"params": to_ours(theirs.model, config)}, jnp.asarray(theirs.ids), jnp.asarray(theirs.mask)).last
    close(np.asarray(found)[theirs.mask], wanted)


BY_LAYER = {"full_attention": {"rope_theta": 40.0}, "sliding_attention": {"rope_theta": 20.0, "rope_type": "default"}}
SPELLINGS = [
    ("modernbert", {"rope_parameters": BY_LAYER}, {"global_rope_theta": 40.0, "local_rope_theta": 20.0}),
    ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": 40.0}}}, {"global_rope_theta": 40.0}),
    ("modernbert", {"rope_scaling": {"rope_type": "default", "rope_theta": 9.0}},
     {"global_rope_theta": 9.0, "local_rope_theta": 9.0}),
    ("modernbert", {"sliding_window": 3}, {}),
    ("modernbert", {"layer_types": ["full_attention", "sliding_attention"] * 2, "global_attn_every_n_layers": ...},
     {"global_attn_every_n_layers": 2}),
    ("qwen3", {"rope_parameters": {"rope_theta": 40.0}}, {"rope_theta": 40.0}),
    ("qwen3", {"rope_scaling": {"type": "default"}, "rope_parameters": {"rope_theta": 40.0}}, {}),
    ("qwen3", {"rope_scaling": {"type": "default"}, "rope_theta": ..., "rope_parameters": {"rope_theta": 40.0}},
     {"rope_theta": 10_000.0}),
    ("qwen3", {"is_causal": False, "sliding_window": 3, "max_window_layers": 0}, {"causal": False}),
    ("distilbert", {"num_attention_heads": 2, "n_heads": ...}, {"num_attention_heads": 2}),
    ("bert", {"hidden_act": "gelu_accurate"}, {"hidden_act": "gelu_new"}),
    ("bert", {"hidden_act": "gelu_python"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("family", "changes", "expected"), SPELLINGS)
def test_other_spellings_are_read_as_transformers_reads_them(family, changes, expected, tmp_path):
    theirs = Theirs(ENCODERS[family], tmp_path)
    content = changed(theirs.old, changes)
    config = theirs.settings(content)
    assert config == theirs.config.model_copy(update=expected)
    close(theirs.vectors(encoder_config_json(config)), theirs.vectors(content), 1e-6)


REFUSED = [
    ("bert", {"new_thing": 3}, r"new_thing \(3\) is an unknown key, which may change embeddings; if it does"),
    ("bert", {"rope_theta": 3.0}, r"rope_theta \(3.0\) is an unknown key"),
    ("bert", {"hidden_act": None}, "hidden_act is null: give a value"),
    ("bert", {"auto_map": {"AutoModel": "modeling.New"}}, "auto_map names code for AutoModel .'modeling.New'"),
    ("bert", {"quantization_config": {"bits": 4}}, "quantization_config .* is not supported"),
    ("bert", {"pruned_heads": {"0": [1]}}, "pruned_heads .* is not supported"),
    ("roberta", {"pad_token_id": None}, "pad_token_id is null"),
    ("distilbert", {"num_attention_heads": 2}, r"num_attention_heads is 2 but n_heads, its other name, 4: delete one"),
    ("distilbert", {"layer_norm_eps": 1e-5}, "layer_norm_eps 1e-05 is not supported; supported: 1e-12"),
    ("modernbert", {"sliding_window": 2}, r"sliding_window 2 is not half of local_attention \(6\)"),
    ("modernbert", {"rope_parameters": {"rope_theta": 3.0}}, "rope_parameters .* supported: one object for each of"),
    ("modernbert", {"rope_parameters": {"full_attention": {"factor": 2.0}}}, "factor is not known here"),
    ("qwen3", {"rope_parameters": {"full_attention": {"rope_theta": 3.0}}}, "full_attention is not known here"),
    ("qwen3", {"use_bidirectional_attention": True}, r"use_bidirectional_attention \(True\) is an unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "changes", "message"), REFUSED)
def test_what_would_change_embeddings_is_refused(family, changes, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(encoder_config_json(ENCODERS[family]) | changes))
    with pytest.raises(UserError, match=message) as caught:
        read_encoder_config(path)
    assert str(path) in str(caught.value)


def test_code_for_a_task_only_is_no_matter(tmp_path):
    content = encoder_config_json(ENCODERS["bert"]) | {"auto_map": {"AutoModelForTokenClassification": "a.B"}}
    (tmp_path / "config.json").write_text(json.dumps(content | {"new_thing": None}))
    assert read_encoder_config(tmp_path / "config.json") == ENCODERS["bert"]
