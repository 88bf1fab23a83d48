"""How good outputs are: systems, baselines, the share that passes, ROUGE, intervals."""
