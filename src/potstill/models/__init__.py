"""Architectures and weights: configurations, decoders, adapters, readers of weight files."""
