"""Saliency maps (section 3.4): attribution, backward rules of ReLU and max-pooling, strongest patches, crops, and
randomized networks for sanity checks. Pictures and files are made in `pipeline.visualization`."""
