"""Numbers about texts, without any model."""
