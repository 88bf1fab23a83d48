"""The next-token distribution: one question, many models that answer it."""
