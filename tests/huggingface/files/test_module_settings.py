"""Each key that sentence-transformers writes, changed: the embedding that it gives then, or an error."""

import json
import shutil

import numpy as np
import pytest

from jaxemb.config import DenseConfig, Prompt
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from support.tiers import sampled
from support.tiny_models import ENCODER, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["A man Plays.", "Съешь же ещё", "", "x " * 100]
SMALL = ENCODER.model_copy(
    update={"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
)
CHANGED = {
    "pooling_mode": "max", "activation_function": "torch.nn.modules.activation.ReLU", "similarity_fn_name": "dot",
    "default_prompt_name": "d", "prompts": {"q": "other: ", "d": "doc: "}, "truncate_dim": 3, "max_seq_length": 9,
    "module_output_name": "token_embeddings", "module_input_name": "token_embeddings", "model_type": "SparseEncoder",
    "transformer_task": "fill-mask", "path": "nowhere", "type": "sentence_transformers.models.LSTM",
    "modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}},
}  # fmt: skip
ADDED = {
    "sentence_bert_config.json": {
        "processing_kwargs": {"text": {"add_special_tokens": False}}, "query_length": 5, "document_length": 5,
        "query_expansion": {"strategy": "fixed"}, "tokenizer_args": {"padding_side": "left"}, "unpad_inputs": False,
        "model_args": {"trust_remote_code": True}, "config_kwargs": {"is_decoder": True}, "new": 1,
    },
    "config_sentence_transformers.json": {"truncate_dim": 3, "requirements": {"transformers": ">=5.0"}, "new": 1},
    "1_Pooling/config.json": {"include_prompt": False, "new": 1},
    "3_Dense/config.json": {"use_residual": True, "new": 1},
    "2_LayerNorm/config.json": {"new": 1},
    "modules.json": {"kwargs": ["task"], "new": 1},
}  # fmt: skip
"""Keys that are written only where they are set, and one that nobody knows."""
OTHER_FILES = ("dimension is 8, but", "has the shape", "unexpected: linear.bias")
"""What is said where another file does not fit any more."""
READ = ("do_lower_case",)
"""Changes what no setting of ours shows."""


def another(key, value):
    if key in CHANGED:
        return CHANGED[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return {"new": 1} if isinstance(value, dict) else f"{value}-changed"


def read(path, entry):
    content = json.loads(path.read_text())
    return content if entry is None else content[entry]


def write(path, entry, changes):
    content = json.loads(path.read_text())
    (content if entry is None else content[entry]).update(changes)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One model as we write it, and as sentence-transformers does."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = tmp_path_factory.mktemp("modules")
    dense = (DenseConfig(out_features=12, activation="gelu"), DenseConfig(out_features=6, bias=False))
    prompts = (Prompt(name="q", text="query: "), Prompt(name="d", text="doc: "))
    model = tiny_embedder(
        encoder=SMALL, pooling="mean", layer_norm=True, dense=dense, prompt="query: ", prompts=prompts
    )
    export(model, folder / "old", verify="jax")
    theirs = sentence_transformers.SentenceTransformer(str(folder / "old"), device="cpu", local_files_only=True)
    theirs.save(str(folder / "new"), create_model_card=False)
    return folder


def theirs(folder):
    import sentence_transformers

    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return model, model.encode(TEXTS)


@pytest.mark.parametrize("schema", sampled(["new"], ["old"]))
def test_every_key_of_sentence_transformers_is_read_harmless_or_refused(folders, tmp_path, schema):
    plain = load_model(folders / schema)
    files = {path.relative_to(folders / schema).as_posix() for path in (folders / schema).rglob("*.json")}
    files -= {"config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    assert len(files) == {"old": 7, "new": 8}[schema]
    harmless, changes = [], []
    for name in sorted(files):
        entries = [2, 3] if name == "modules.json" else [None]
        for entry in entries:
            written = read(folders / schema / name, entry)
            changes += [(name, entry, key, another(key, value)) for key, value in written.items()]
            changes += [(name, entry, key, value) for key, value in ADDED.get(name, {}).items()]
    for name, entry, key, value in changes:
        copy = shutil.copytree(folders / schema, tmp_path / "copy", dirs_exist_ok=True)
        write(copy / name, entry, {key: value})
        try:
            ours = load_model(copy)
        except UserError as error:
            message = str(error)
        else:
            message = ""
            if ours.config == plain.config and key not in READ:
                harmless.append((name, entry, key, value))
            else:
                model, wanted = theirs(copy)
                np.testing.assert_allclose(ours.encode(TEXTS), wanted, atol=1e-5, err_msg=key)
                assert model.similarity_fn_name == ours.config.similarity
        named = key in message or (key in ("path", "type") and value in message)
        assert not message or named or any(part in message for part in OTHER_FILES), (key, message)
        assert key != "new" or "is an unknown key, which may change embeddings" in message
        shutil.rmtree(copy)
    copy = shutil.copytree(folders / schema, tmp_path / "copy")
    for name, entry, key, value in harmless:
        write(copy / name, entry, {key: value})
    assert {key for _, _, key, _ in harmless} >= {"word_embedding_dimension" if schema == "old" else "__version__"}
    np.testing.assert_allclose(plain.encode(TEXTS), theirs(copy)[1], atol=1e-5)
