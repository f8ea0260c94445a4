"""Saliency maps: attribution, the backward rules, top patches, crops, randomized networks.
Pictures and files are made in `pipeline.visualization`."""
