"""Changing the weights of a model so that it answers examples: settings, optimizers, trainer, checkpoints."""
