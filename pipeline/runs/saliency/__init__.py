"""Pictures of what finished runs have learned, and the gallery over them."""
