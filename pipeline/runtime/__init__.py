"""Where code runs: settings, provenance, this process and its child processes, the connection to Ray.
It knows no store, no data and no training."""
