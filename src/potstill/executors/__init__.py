"""Where long work runs: processes on this machine, or a Ray cluster."""
