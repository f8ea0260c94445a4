"""The machine: settings, provenance, this process and its child processes, the connection to Ray.
No store, data or training is known here."""
