"""Arrays in, arrays out: models, initialization, preprocessing, augmentation, the training loops, saliency maps.
No experiment, store, study or cluster is known here."""
