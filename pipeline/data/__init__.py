"""From published files to prepared data sets in the store: sources, downloads, shards.
Preprocessing as arithmetic and the batches of an epoch are in `numerics`."""
