"""Continuous batching of any language model in `potstill.lm`."""
