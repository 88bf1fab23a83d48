"""Tensor blocks that models are built of: no weights on disk, no tokens, no text."""
