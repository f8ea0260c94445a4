"""From published files to prepared data sets in the store."""
