"""A task and a model in one call, as in transformers: strings, lists and generators in, dicts out."""
