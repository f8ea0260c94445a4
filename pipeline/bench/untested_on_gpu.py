"""What a machine without a GPU has not run, by name: the list to work through once there is one."""

UNTESTED = (
    ("numerics/fast/cuda_graph.py", "recording and replaying a graph; a stream for every trainer"),
    (
        "numerics/fast/triton_kernels.py",
        "the kernels compiled, and how fast they are; tests have them interpreted",
    ),
    ("numerics/fast/divergence.py", "the loss's way through pinned memory"),
    ("numerics/fast/forward.py", "pooling in CUDA's deterministic mode"),
    ("numerics/fast/precision.py", "bfloat16 on CUDA, and cuDNN's switches"),
    (
        "numerics/fast/device_loader.py",
        "images on the device, padded to 8 channels (numbers are tested on a CPU)",
    ),
    (
        "numerics/saliency, visualization/upload.py",
        "maps on a device; TensorFloat-32 would cost them digits",
    ),
    ("bench", "every figure of a GPU, packing and capture included"),
)
