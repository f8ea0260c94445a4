"""Saliency maps: attribution, rules for the way back through a ReLU, top patches, crops, randomized networks.
Pictures and files are made in `pipeline.visualization`."""
