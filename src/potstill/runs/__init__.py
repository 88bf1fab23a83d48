"""A run: a recipe, its stages, their fingerprints, their outputs and their figures, in one folder."""
