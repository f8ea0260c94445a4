from pipeline.own import CIFAR, OwnStudy, Scale, at_width, imagefolder, replace, with_epochs

study = OwnStudy(
    "photos",
    "which network learns my photographs?",
    networks=[at_width("all-cnn-c", "1/12"), at_width("model-c", "1/12")],
    data=imagefolder("photos", side=32),
    recipe=replace(with_epochs(CIFAR, 2), preprocess=Scale(), batch=4),
)
