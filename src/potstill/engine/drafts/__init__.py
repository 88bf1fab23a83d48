"""Guesses at the next tokens, checked by the model in one step: from the text, an index, a smaller model."""
