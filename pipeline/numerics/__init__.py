"""Numerical code on tensors: models, initialization, preprocessing, augmentation, training loops and saliency maps.
Nothing in this package knows experiments, studies, the store or Ray."""
