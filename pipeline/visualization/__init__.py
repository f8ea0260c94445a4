"""Pictures of what finished runs have learned: which to draw, drawing, sheets, sanity checks, the gallery.
The maps themselves are computed in `numerics.saliency`."""
