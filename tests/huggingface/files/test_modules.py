"""sentence-transformers' modules, in the old and the new schema."""

import json
import shutil

import numpy as np
import pytest

from jaxemb.encoding import Embedder
from jaxemb.huggingface import load_model
from support.model_folders import TEXTS, assert_embeds_as, edit, modules
from support.tiny_models import TOKENIZER, tiny_embedder


def new_schema(folder):
    """What sentence-transformers 6 writes."""
    base, own = "sentence_transformers.base.modules.", "sentence_transformers.sentence_transformer.modules."
    types = [
        (base + "transformer.Transformer", ""),
        (own + "pooling.Pooling", "1_Pooling"),
        (base + "dense.Dense", "2_Dense"),
        (base + "normalize.Normalize", "3_Normalize"),
    ]
    entries = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (kind, path) in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps(entries))
    pooling = {"embedding_dimension": 32, "pooling_mode": "cls", "include_prompt": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    names = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
    edit(folder / "2_Dense/config.json", **names)
    (folder / "3_Normalize").mkdir(exist_ok=True)
    (folder / "3_Normalize/config.json").write_text(json.dumps(names))
    text = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    settings = {
        "transformer_task": "feature-extraction", "modality_config": text, "module_output_name": "token_embeddings",
    }  # fmt: skip
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))


def test_new_schema(model_folder):
    new_schema(model_folder)
    assert_embeds_as(model_folder, tiny_embedder())


def test_transformer_in_a_folder_of_its_own(model_folder):
    inner = model_folder / "0_Transformer"
    inner.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.move(model_folder / name, inner / name)
    shutil.move(model_folder / "sentence_bert_config.json", inner)
    edit(inner / "sentence_bert_config.json", max_seq_length=11)
    entries = json.loads((model_folder / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    (model_folder / "modules.json").write_text(json.dumps(entries))
    assert_embeds_as(model_folder, tiny_embedder(max_seq_length=11))


def test_plain_folder_is_mean_pooled_and_normalised(model_folder):
    (model_folder / "modules.json").unlink()
    loaded = load_model(model_folder)
    assert (loaded.config.pooling, loaded.config.dense, loaded.config.normalize) == ("mean", None, True)
    params = {"encoder": tiny_embedder().params["encoder"]}
    expected = Embedder(tiny_embedder(pooling="mean", dense=None).config, params, TOKENIZER)
    np.testing.assert_allclose(loaded.encode(TEXTS, batch_size=8), expected.encode(TEXTS, batch_size=8), atol=1e-6)


@pytest.mark.parametrize(
    ("kinds", "normalize", "dense"),
    [
        (("Transformer", "Pooling"), False, False),
        (("Transformer", "Pooling", "Normalize"), True, False),
        (("Transformer", "Pooling", "Dense"), False, True),
    ],
)
def test_modules_that_may_be_absent(model_folder, kinds, normalize, dense):
    modules(model_folder, *kinds)
    config = load_model(model_folder).config
    assert (config.normalize, config.dense is not None) == (normalize, dense)


OLD_FLAGS = {
    "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False, "pooling_mode_mean_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pooling", "flags"),
    [
        ("cls", {"pooling_mode_cls_token": True}),
        ("mean", {"pooling_mode_mean_tokens": True}),
        ("max", {"pooling_mode_max_tokens": True}),
        ("mean_sqrt_len_tokens", {"pooling_mode_mean_sqrt_len_tokens": True}),
        ("weightedmean", {"pooling_mode_weightedmean_tokens": True}),
        ("lasttoken", {"pooling_mode_lasttoken": True}),
        (("cls", "mean"), {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
    ],
)
def test_the_old_schema_of_pooling(pooling, flags, tmp_path):
    """Both servers read these flags, and neither reads the name that sentence-transformers 5.4 puts in their place: the
    first wants the flags of cls and mean to be there, the second takes what is true.
    """
    from jaxemb.huggingface.files.modules import module_files

    files = module_files(tiny_embedder(pooling=pooling, dense=None).config, 40)
    assert files["1_Pooling/config.json"] == {"word_embedding_dimension": 32, **OLD_FLAGS, **flags}


def test_the_old_names_of_modules_and_the_longest_input(exported):
    modules = json.loads((exported / "modules.json").read_text())
    assert modules == [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(
            [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
        )
    ]
    # vLLM takes the length only where both keys are there.
    assert json.loads((exported / "sentence_bert_config.json").read_text()) == {
        "max_seq_length": 40, "do_lower_case": False,
    }  # fmt: skip
