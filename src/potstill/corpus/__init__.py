"""Documents, sentences and samples of them."""
