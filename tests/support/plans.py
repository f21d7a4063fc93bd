"""A small config to plan."""

from pathlib import Path

from jaxemb.config import (
    BertConfig,
    DataConfig,
    ModelConfig,
    TokenizerConfig,
    TrainConfig,
    TrainingConfig,
    TsvSource,
)

ROOT = Path(__file__).parents[2]


def config(objective, **model):
    encoder = BertConfig(
        vocab_size=1000, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    return TrainConfig(
        data=DataConfig(sources=(TsvSource(path="en-de.tsv"),), max_length=10, length_buckets=(10,)),
        model=ModelConfig(encoder=encoder, dense=None, **model),
        objective=objective,
        tokenizer=TokenizerConfig(vocab_size=1000),
        training=TrainingConfig(steps=1, batch_size=16),
    )
