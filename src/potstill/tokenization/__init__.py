"""Text to token ids and back: the `tokenizers` library behind one class."""
