"""Temporary changes to a model's modules, and the output of a layer by name. The model is left as it was."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call

from pipeline.errors import UserError, unknown_name


@contextmanager
def replace_modules(model: nn.Module, of: Callable[[nn.Module], Callable | None]) -> Iterator[None]:
    """Within the context, `of(module)` replaces the forward function of each module for which it is not None.

    The model is in eval mode then, and no parameter requires a gradient. Afterwards, also after an error, each module
    has its own mode and forward again and each parameter its own `requires_grad`.
    """
    modules, parameters = list(model.modules()), list(model.parameters())
    modes, wanted = [m.training for m in modules], [p.requires_grad for p in parameters]
    own = [m.__dict__.get("forward") for m in modules]
    try:
        model.eval()
        for parameter in parameters:
            parameter.requires_grad_(False)
        for module in modules:
            if (forward := of(module)) is not None:
                module.__dict__["forward"] = forward
        yield
    finally:
        for module, mode, forward in zip(modules, modes, own, strict=True):
            module.training = mode
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.__dict__["forward"] = forward
        for parameter, want in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(want)


class _Reached(Exception):
    """Ends a forward pass at the wanted layer and carries the layer's output."""

    def __init__(self, output: Tensor):
        self.output = output


def output_of(
    model: nn.Module, images: Tensor, layer: str | None, instead: Mapping[str, Tensor] | None = None
) -> Tensor:
    """The output of the module named `layer` at its first call, or of the whole model if `layer` is None.

    The output is one tensor, (N, C) or (N, C, H, W); UserError for any other, and for a layer that the model does not
    have or call. `instead` holds parameters and buffers, by name, to use in place of the model's.
    """
    if layer is None:
        return _one_tensor(functional_call(model, dict(instead or {}), (images,)), "the model")
    modules = dict(model.named_modules())
    if not layer or layer not in modules:
        raise unknown_name("layer", layer, [name for name in modules if name])

    def leave(_module: nn.Module, _given: object, output: object) -> None:
        raise _Reached(_one_tensor(output, f"layer {layer!r}"))

    hook = modules[layer].register_forward_hook(leave)
    try:
        functional_call(model, dict(instead or {}), (images,))
    except _Reached as reached:
        return reached.output
    finally:
        hook.remove()
    raise unknown_name("layer", layer, [name for name in modules if name])


def _one_tensor(output: object, what: str) -> Tensor:
    """The output; UserError unless it is one tensor of class scores (N, C) or maps (N, C, H, W)."""
    if not isinstance(output, Tensor):
        parts = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
        raise UserError(
            f"{what} returns a {type(output).__name__}{parts}: name a layer that returns one tensor, or return "
            "the scores alone"
        )
    if output.dim() not in (2, 4):
        shape = ", ".join(map(str, output.shape[1:]))
        raise UserError(f"{what} returns (N, {shape}): only class scores (N, C) and maps (N, C, H, W) can be explained")
    return output
