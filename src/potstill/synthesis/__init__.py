"""Training pairs from a weak language model: sources, candidates, critics, filters, diversity."""
