"""What a machine without a GPU has not run, by name: the list to work through once there is one."""

UNRUN = (
    ("numerics/fast/cuda_graph.py", "recording and replaying a graph; a stream for every lane"),
    ("numerics/fast/kernels.py", "the kernels compiled, and how fast they are; tests train with them interpreted"),
    ("numerics/fast/alarm.py", "the loss's way through pinned memory"),
    ("numerics/fast/forward.py", "pooling in CUDA's deterministic mode"),
    ("numerics/fast/precision.py", "bfloat16 on CUDA, and cuDNN's switches"),
    ("numerics/fast/resident.py", "images on the device, padded to 8 channels (their numbers are tested on a CPU)"),
    ("numerics/saliency.py, runs/saliency/render.py", "maps on a device; TensorFloat-32 would cost them digits"),
    ("runs/bench", "every figure of a GPU, packing and capture included"),
)
