"""Instructions and examples: what a model is shown and what it should answer."""
