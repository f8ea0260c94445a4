"""Training runs: the fleet on Ray, leases, the job, checkpoints, histories, progress.
The training steps themselves are in `numerics`."""
