"""Pictures of what finished runs have learned: what to draw, drawing, sheets, sanity checks, and the gallery.
The maps themselves are computed in `numerics.saliency`."""
