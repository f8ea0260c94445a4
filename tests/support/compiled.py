"""The kernels made into machine code for a data-centre GPU, which needs none: what is wrong in them shows here."""

from itertools import product

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pipeline.numerics.fast import triton_kernels

TARGET = GPUTarget("cuda", 90, 32)
NUMBERS = {"slope": "fp32", "scale": "fp32", "momentum": "fp32", "decay": "fp32", "mix": "i64"}
FLAGS = (True, False)


def compiled(kernel, pointers: dict[str, str], constants: dict) -> str:
    """The kernel's PTX; its other arguments are whole numbers of 32 bits unless NUMBERS says otherwise."""
    of = {name: pointers.get(name) or NUMBERS.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, of | dict.fromkeys(constants, "constexpr"), constants)
    made = triton.compile(source, target=TARGET)
    assert made.asm["cubin"]
    return made.asm["ptx"]


for dtype, drop, part, large in product(("*bf16", "*fp32"), FLAGS, FLAGS, FLAGS):
    keys = "*i64" if drop else dtype
    pointers = {"x": dtype, "bias": dtype, "out": dtype, "keys": keys, "table": keys}
    flags = {"BIAS": True, "DROP": drop, "PART": part, "LARGE": large, "BLOCK": triton_kernels.BLOCK}
    ptx = compiled(triton_kernels._activate, pointers, flags)
    assert ("0f80000000" in ptx or "0x80000000" in ptx) == drop, "a dropped value has lost its sign"
    assert large or "div.s64" not in ptx, "64 bits where 32 would do"
print("activate")

for dtype, drop in product(("*bf16", "*fp32"), FLAGS):
    pointers = dict.fromkeys(("above", "out", "below"), dtype) | {"partial": "*fp32"}
    compiled(triton_kernels._backward, pointers, {"DROP": drop, "ROWS": triton_kernels.ROWS, "WIDTH": 128})
print("backward")

for dtype, nesterov, shadow in product(("*bf16", "*fp32"), FLAGS, FLAGS):
    pointers = {"master": "*fp32", "velocity": "*fp32", "lr": "*fp32", "gradient": dtype, "shadow": dtype}
    compiled(triton_kernels._update, pointers, {"NESTEROV": nesterov, "SHADOW": shadow, "BLOCK": triton_kernels.BLOCK})
print("update")
