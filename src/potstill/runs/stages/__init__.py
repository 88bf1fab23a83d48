"""The one place that wires the whole pipeline: the stages of a run."""
