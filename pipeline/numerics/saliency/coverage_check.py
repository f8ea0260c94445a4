"""Whether the rules reach every rectifier of a model, tried in numbers: where they do not, maps are plain gradients.

With its rectifiers out and its pools' switches held, a model is a straight line through any two images. Whatever bends
it is an activation that no rule reaches: a functional one, or one inside an operation of somebody's own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.numerics.random_streams import generator_for
from pipeline.numerics.saliency.backward_rules import RECTIFIERS, BackwardRule, with_backward_rule
from pipeline.numerics.saliency.module_hooks import output_of, replace_modules

SCALES = (1.0, 100.0)  # of the images' own, or of 1: the larger one outweighs a bias that holds an activation open
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # of a layer's largest value; others are 16 bits wide: 0.1


def check(model: nn.Module, images: Tensor, layer: str | None = None) -> None:
    """Refused, naming the layer, unless up to `layer` all that is not linear are modules that the rules know.

    One image of the given ones' shape is enough; two forward passes of a few images are made.
    """
    probes = _probes(images)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        _straight(model, probes, layer)
        with replace_modules(model, lambda module: None):
            plain = output_of(model, probes.clone(), layer)
        with with_backward_rule(model, BackwardRule()):
            ruled = output_of(model, probes.clone(), layer)
    if not _equal(plain, ruled):
        raise UserError(
            "two passes of this model over the same images differ: a layer of it is random while it is evaluated, or "
            "rectifies in place what it goes on to use. Mend that, and every ReLU can be seen through."
        )


def _probes(images: Tensor) -> Tensor:
    """Two random images at each scale, and the point of their line that lies as far again behind the first."""
    draws = torch.randn(2, *images.shape[1:], generator=generator_for(0, "saliency check")).to(images)
    one, two = draws * images.detach().float().std(correction=0).clamp(min=1).to(images)
    return torch.stack([image * scale for scale in SCALES for image in (one, two, 2 * one - two)])


def _bent(value: object) -> bool:
    """Whether a tensor over the probes leaves the line."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2:
        return False
    if len(value) != 3 * len(SCALES):
        return False
    one, two, far = value.reshape(len(SCALES), 3, -1).unbind(1)
    size = value.reshape(len(SCALES), -1).abs().amax(1)
    off = (far - (2 * one - two)).abs().amax(1)
    return not bool((off <= TOLERANCE.get(value.dtype, 0.1) * size).all())  # NaN is no line either


def _straight(model: nn.Module, probes: Tensor, layer: str | None) -> None:
    walk = _Walk(model)
    try:
        with replace_modules(model, _linear):
            output = output_of(model, probes, layer)
    finally:
        walk.end()
    if walk.problem:
        raise UserError(walk.problem)
    if len(output) != len(probes) or _bent(output):
        raise UserError("this model does not treat the images of a batch one by one: its maps cannot be told apart")
    if layer and _calls(model, probes[:1], layer) > 1:
        raise UserError(f"layer {layer!r} is called more than once in a forward pass: name one that is called once")


def _calls(model: nn.Module, image: Tensor, layer: str) -> int:
    """How often a whole forward pass calls the layer."""
    seen = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *_: seen.append(layer))
    try:
        with replace_modules(model, lambda module: None):
            model(image.clone())
    finally:
        hook.remove()
    return len(seen)


def _linear(module: nn.Module):
    if isinstance(module, RECTIFIERS):
        return lambda x: x
    if isinstance(module, nn.MaxPool2d) and not module.return_indices:
        return lambda x: _held(x, module)
    return None


def _held(x: Tensor, pool: nn.MaxPool2d) -> Tensor:
    """Pooling with the first image's switches for all of them."""
    _, switches = F.max_pool2d(
        x[:1], pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )
    index = switches.flatten(2).expand(len(x), -1, -1)
    return x.flatten(2).gather(2, index).unflatten(2, switches.shape[2:])


class _Walk:
    """Follows a forward pass from module to module until the line is left, and says where that was."""

    def __init__(self, model: nn.Module):
        self.problem = ""
        self._names = {module: name for name, module in model.named_modules()}
        self._inside: list[nn.Module] = []
        self._last = ""
        self._hooks = [m.register_forward_pre_hook(self._enter) for m in self._names]
        self._hooks += [m.register_forward_hook(self._leave) for m in self._names]

    def end(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _enter(self, module: nn.Module, given: tuple) -> None:
        if not self.problem and any(_bent(value) for value in given):
            before = f"before {self._names[module]!r}"
            self.problem = _says(self._whose(self._inside[-1]), self._after(), before)
        self._inside.append(module)

    def _leave(self, module: nn.Module, _given: tuple, out: object) -> None:
        self._inside.pop()
        values = out if isinstance(out, tuple | list) else (out,)
        if not self.problem and any(_bent(value) for value in values):
            after = self._after() if any(True for _ in module.children()) else ""
            self.problem = _says(self._whose(module), after)
        self._last = self._names[module]

    def _whose(self, module: nn.Module) -> str:
        name = self._names[module]
        return f"layer {name!r} ({type(module).__name__})" if name else f"the model's own forward ({_kind(module)})"

    def _after(self) -> str:
        return f"after {self._last!r}" if self._last else ""


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _says(where: str, *around: str) -> str:
    place = " and ".join(part for part in around if part)
    return (
        f"{where} has an activation{', ' + place + ',' if place else ''} that no rule reaches: its maps would be plain "
        "gradients there. Write it as a module nn.ReLU, nn.LeakyReLU or nn.MaxPool2d of its own."
    )


def _equal(one: Tensor, two: Tensor) -> bool:
    return bool(((one - two).abs() <= TOLERANCE.get(one.dtype, 0.1) * one.abs().amax().clamp(min=1e-12)).all())
