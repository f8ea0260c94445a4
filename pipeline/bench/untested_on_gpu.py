"""What tests on a machine without a GPU leave untested, by file; the report of `strive bench` lists it."""

UNTESTED = (
    ("numerics/fast/cuda_graph.py", "capture and replay of a CUDA graph, with a stream for each trainer"),
    (
        "numerics/fast/triton_kernels.py",
        "the compiled kernels and their speed (tests run them in Triton's interpreter)",
    ),
    ("numerics/fast/divergence.py", "the asynchronous copy of the loss through pinned memory"),
    ("numerics/fast/forward.py", "max-pooling in cuDNN's deterministic mode"),
    ("numerics/fast/precision.py", "bfloat16 on CUDA, and cuDNN's flags"),
    (
        "numerics/fast/device_loader.py",
        "images on a GPU, padded to 8 channels (the results are tested on a CPU)",
    ),
    (
        "numerics/saliency, visualization/upload.py",
        "saliency maps on a GPU, where TensorFloat-32 would make them less precise",
    ),
    ("bench", "all measurements on a GPU, including several networks side by side and capture"),
)
