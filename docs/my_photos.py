from pipeline.own import DIGITS, OwnStudy, Scale, at_width, imagefolder, replace

study = OwnStudy(
    "photos",
    "which network learns my photographs?",
    networks=[at_width("all-cnn-c", "1/12", "digits"), at_width("model-c", "1/12", "digits")],
    data=imagefolder("photos", side=32),
    recipe=replace(DIGITS, preprocess=Scale()),
)
