"""A numerical check that the backward rules reach every activation of a model.

Where they do not, a map would be a plain gradient and not what its name says. With its ReLU modules replaced by the
identity and the positions of its max-pools' maxima fixed, a model must be an affine function: on the line through two
images its output changes linearly. If it does not, the model has an activation that the rules do not reach, such as a
functional ReLU or a custom autograd operation.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.numerics.random_streams import generator_for
from pipeline.numerics.saliency.backward_rules import RECTIFIERS, BackwardRule, with_backward_rule
from pipeline.numerics.saliency.module_hooks import output_of, replace_modules

# Factors of the random images; the larger ones outweigh constants that would keep an activation on one side of zero.
SCALES = (1.0, 100.0, 1e6)
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # as a share of a layer's largest value
HALF = (torch.float16, torch.bfloat16)  # too few digits and, at the larger scales, too small a range for this check


def check(model: nn.Module, images: Tensor, layer: str | None = None) -> None:
    """Raise a UserError with the layer's name if the model, up to `layer`, has an activation that no rule reaches.

    Of `images` (N, C, H, W) the shape, the dtype and the overall scale are used; the model runs a few times on a few
    random images, as a float32 copy if it has 16 bits. UserError too for images that the model cannot take, and for
    NaN or infinity in images or weights. A `layer` of None is the model's output.
    """
    _check_images(model, images)
    if images.dtype in HALF:
        model, images = copy.deepcopy(model).float(), images.float()
    probes = _probes(images)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        _straight(model, probes, layer, {})
        _straight(model, probes, layer, _offsets(model))
        with replace_modules(model, lambda module: None):
            plain = output_of(model, probes.clone(), layer)
        with with_backward_rule(model, BackwardRule()):
            ruled = output_of(model, probes.clone(), layer)
    if not _equal(plain, ruled):
        raise UserError(
            "two passes of this model over the same images differ: a layer of it is random while it is evaluated, or "
            "rectifies in place what it goes on to use. Fix that, and every ReLU can be seen through."
        )


def _check_images(model: nn.Module, images: Tensor) -> None:
    """Raise a UserError unless these are finite images (N, C, H, W) of the model's dtype, with finite weights."""
    if not isinstance(images, Tensor):
        found = f"a {type(images).__name__}" + (f" of {len(images)}" if isinstance(images, tuple | list) else "")
        raise UserError(f"images must be one tensor (N, channels, height, width), not {found}")
    if images.dim() != 4 or not len(images):
        hint = ": images[None] makes a batch of one" if images.dim() == 3 else ""
        raise UserError(f"images must be (N, channels, height, width), at least one, not {tuple(images.shape)}{hint}")
    if not images.is_floating_point():
        raise UserError(f"images must be numbers as the model was trained on, not {_short(images.dtype)} pixels")
    if bad := [at for at, image in enumerate(images) if not image.isfinite().all()]:
        raise UserError(f"image {bad[0]} of {len(images)} holds NaN or infinity")
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            layer, _, which = name.rpartition(".")
            raise UserError(f"layer {layer!r} has a {which} with NaN or infinity: these weights explain nothing")
    formats = {parameter.dtype for parameter in model.parameters()}
    if formats and images.dtype not in formats:
        [wanted, *_] = sorted(map(_short, formats))
        raise UserError(
            f"the model computes in {wanted} and the images are {_short(images.dtype)}: images.to(torch.{wanted}) fits"
        )


def _short(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _offsets(model: nn.Module) -> dict[str, Tensor]:
    """Zeros for all biases and running means, which could keep an activation on one side of zero at every scale."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: torch.zeros_like(value) for name, value in named if name.endswith(("bias", "running_mean"))}


def _probes(images: Tensor) -> Tensor:
    """At each scale, two random images a and b and the image 2a - b on the line through them: (3 * scales, C, H, W)."""
    draws = torch.randn(2, *images.shape[1:], generator=generator_for(0, "saliency check")).to(images)
    one, two = draws * images.detach().float().std(correction=0).clamp(min=1).to(images)
    return torch.stack([image * scale for scale in SCALES for image in (one, two, 2 * one - two)])


def _bent(value: object) -> bool:
    """Whether a tensor of values for the probes is not linear on the line: f(2a - b) differs from 2 f(a) - f(b)."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2:
        return False
    if len(value) != 3 * len(SCALES):
        return False
    one, two, far = value.reshape(len(SCALES), 3, -1).unbind(1)
    size = value.reshape(len(SCALES), -1).abs().amax(1)
    off = (far - (2 * one - two)).abs().amax(1)
    return not bool((off <= TOLERANCE.get(value.dtype, 1e-3) * size).all())  # NaN counts as nonlinear


def _straight(model: nn.Module, probes: Tensor, layer: str | None, instead: dict[str, Tensor]) -> None:
    """Raise a UserError where the model, with the parameters `instead`, is nonlinear on the probes."""
    walk = _Walk(model)
    try:
        with replace_modules(model, _linear):
            output = output_of(model, probes, layer, instead)
    except (RuntimeError, TypeError) as error:  # what torch's operations raise for shapes that do not fit
        said = str(error).splitlines()[0]
        raise UserError(f"the model does not take images (N, {_times(probes.shape[1:])}): {said}") from error
    finally:
        walk.end()
    if walk.problem:
        raise UserError(walk.problem)
    if len(output) != len(probes) or _bent(output):
        raise UserError("this model does not treat the images of a batch one by one: its maps cannot be told apart")
    if layer and _calls(model, probes[:1], layer) > 1:
        raise UserError(f"layer {layer!r} is called more than once in a forward pass: name one that is called once")


def _calls(model: nn.Module, image: Tensor, layer: str) -> int:
    """How often one forward pass calls the layer."""
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
    """Max-pooling that takes, in every image, the positions of the first image's maxima."""
    _, switches = F.max_pool2d(
        x[:1], pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )
    index = switches.flatten(2).expand(len(x), -1, -1)
    return x.flatten(2).gather(2, index).unflatten(2, switches.shape[2:])


class _Walk:
    """Hooks that follow a forward pass over the probes and describe the first place where it is nonlinear."""

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
        _check_width(module, self._names[module], given)
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


def _check_width(module: nn.Module, name: str, given: tuple) -> None:
    """Raise a UserError where a layer gets another number of channels or values than it has weights for."""
    x = given[0] if given and isinstance(given[0], Tensor) else None
    if isinstance(module, nn.Conv2d) and x is not None and x.dim() == 4 and x.shape[1] != module.in_channels:
        raise UserError(f"layer {name!r} takes {module.in_channels} channels, and gets {x.shape[1]}")
    if isinstance(module, nn.Linear) and x is not None and x.shape[-1] != module.in_features:
        raise UserError(
            f"layer {name!r} takes {module.in_features} values, and gets {x.shape[-1]}: images of another size fit it"
        )


def _times(shape: torch.Size) -> str:
    return ", ".join(map(str, shape))


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _says(where: str, *around: str) -> str:
    place = " and ".join(part for part in around if part)
    return (
        f"{where} has an activation{', ' + place + ',' if place else ''} that no rule reaches: its maps would be plain "
        "gradients there. Write it as a module nn.ReLU, nn.LeakyReLU or nn.MaxPool2d of its own."
    )


def _equal(one: Tensor, two: Tensor) -> bool:
    """Whether the outputs of two passes over the probes agree at every scale."""
    one, two = (output.reshape(len(SCALES), -1) for output in (one, two))
    size = one.abs().amax(1).clamp(min=1e-12)
    return bool(((one - two).abs().amax(1) <= TOLERANCE.get(one.dtype, 1e-3) * size).all())
