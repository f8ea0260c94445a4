"""From published files to prepared data sets in the store: sources, downloads, shards.
Preprocessing as arithmetic, augmentation and the batches of an epoch are in `numerics`."""
