"""Training runs: the fleet on Ray Train, leases, the job, checkpoints, histories, progress.
No training step is here: the loops are in `numerics`."""
