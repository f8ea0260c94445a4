"""Does All-CNN-C make fewer errors on digits with 5x5 kernels?"""

from pipeline.own import DIGITS, OwnStudy, at_width, better, named, with_epochs, with_kernel

small = at_width("all-cnn-c", "1/12", "digits")
large_kernels = named(with_kernel(small, 3, 5), "all-cnn-c-5x5")

study = OwnStudy(
    "kernels",
    "does All-CNN-C make fewer errors on digits with 5x5 kernels?",
    networks=[small, large_kernels],
    data="digits",
    recipe=with_epochs(DIGITS, 2),
    claims={"5x5 kernels make fewer errors than 3x3 ones.": better(large_kernels, than=small)},
)
