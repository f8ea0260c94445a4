"""In which order: Prefect flows, their deployments, and the command `strive`. No arithmetic, no paths."""
