"""An encoder with a head that sorts texts, or pairs of them, by their first token's state."""

import torch
from torch import Tensor, nn

from potstill.layers.attention import Attention
from potstill.models.encoder import Encoder
from potstill.models.encoder_config import EncoderConfig


class SequenceClassifier(nn.Module):
    """N packed tokens of B texts to a logit for each label."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.body = Encoder(config)
        self.head = BertHead(config) if config.model_type == "bert" else RobertaHead(config)

    def forward(self, token_ids: Tensor, type_ids: Tensor, attention: Attention) -> Tensor:
        """As `Encoder.forward`; returns logits [B, labels]."""
        states: Tensor = self.body(token_ids, type_ids, attention)
        logits: Tensor = self.head(states[attention.positions == 0])
        return logits


class BertHead(nn.Module):
    """A layer that was trained with the encoder, then one to the labels."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, len(config.labels))

    def forward(self, firsts: Tensor) -> Tensor:
        """firsts [B, E] to [B, labels]."""
        logits: Tensor = self.classifier(torch.tanh(self.pooler(firsts)))
        return logits


class RobertaHead(nn.Module):
    """The same, of layers trained with the labels."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, len(config.labels))

    def forward(self, firsts: Tensor) -> Tensor:
        """firsts [B, E] to [B, labels]."""
        logits: Tensor = self.out_proj(torch.tanh(self.dense(firsts)))
        return logits
