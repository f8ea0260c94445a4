"""What only a GPU can show, as functions without a test library: infra/gpu_slice.py calls them where there is none."""

import contextlib
from dataclasses import replace

import torch
from support.small import FIFTY_STEPS, LEAKY, POOLED, RECIPE, feed, fresh, lane, timeless, weights

from pipeline.numerics import reference_loop
from pipeline.numerics.dropout import epoch_keys, kept
from pipeline.numerics.fast import pointwise, precision, triton_kernels
from pipeline.numerics.fast.loop import epochs, stepper
from pipeline.numerics.fast.precision import Mode

EXACT = Mode("bfloat16", deterministic=True, graph=True)
FAST = Mode("bfloat16", deterministic=False, graph=True)


@contextlib.contextmanager
def settled(mode):
    precision.set_backend_flags(mode)
    try:
        yield
    finally:
        precision.set_backend_flags(Mode())


def rows(*lanes):
    return [row for one in lanes for _, row in epochs([one])]


def a_mask_is_the_same_on_either_device():
    keys = epoch_keys(0, 0, 1, 20)[0]
    shape = torch.Size([20, 7, 5, 6])
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(kept(keys.cuda(), shape, 0.3, dtype).cpu(), kept(keys, shape, 0.3, dtype))


def kernels_are_their_meaning_in_torch():
    keys = epoch_keys(0, 0, 1, 40)[0].cuda()
    for channels, slope, share, real in ((96, 0.0, 0.5, None), (12, 0.3, 0.2, None), (8, 1.0, 0.2, 3)):
        x = torch.randn(40, channels, 9, 8, device="cuda").contiguous(memory_format=torch.channels_last)
        x[:, :, :2] = 0  # what the borders of moved images leave while biases are zero
        bias = None if slope == 1 else torch.randn(channels, device="cuda")
        if bias is not None:
            bias[: channels // 2] = 0
        out = triton_kernels.activate(x, bias, slope, keys, share, real)
        torch.testing.assert_close(out, pointwise.activate_reference(x.clone(), bias, slope, keys, share, real))
        if bias is not None:
            below, of_bias = triton_kernels.activate_backward(torch.ones_like(out), out, slope, 1 / (1 - share), True)
            wanted = (x + 0).requires_grad_(), bias.clone().requires_grad_()
            theirs = pointwise.activate_reference(wanted[0] + 0, wanted[1], slope, keys, share)
            for mine, other in zip((below, of_bias), torch.autograd.grad(theirs.sum(), wanted), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def recorded_steps_equal_steps_made_one_by_one():
    with settled(EXACT):
        graph, eager = (lane(mode=replace(EXACT, graph=is_graph), device="cuda") for is_graph in (True, False))
        assert timeless(rows(graph)) == timeless(rows(eager))
        assert torch.equal(weights(graph.model), weights(eager.model))


def side_by_side_equals_one_after_the_other():
    with settled(EXACT):

        def lanes():
            return [lane(mode=EXACT, device="cuda"), lane(LEAKY, RECIPE, 1, EXACT, device="cuda")]

        together, apart = lanes(), lanes()
        list(epochs(together))
        rows(*apart)
        for one, other in zip(together, apart, strict=True):
            assert torch.equal(weights(one.model), weights(other.model))


def stopped_and_resumed_equals_never_stopped():
    with settled(EXACT):
        whole, first, second = (lane(mode=EXACT, device="cuda") for _ in range(3))
        rows(whole)
        next(iter(epochs([first])))
        second.model.load_state_dict(first.model.state_dict())
        for name, velocity in second.weights.velocities.items():
            velocity.copy_(first.weights.velocities[name])
        second.epoch = 1
        rows(second)
        assert torch.equal(weights(second.model), weights(whole.model))


def fifty_steps_are_those_of_the_plain_loop():
    for network in (POOLED, LEAKY):
        # float32 wanders too: a GPU's library may multiply by way of transforms, off by 1e-5 in a layer
        for mode, of_way in ((replace(EXACT, precision="float32"), 1e-2), (FAST, 0.15)):
            with settled(mode):
                model = fresh(network)
                list(
                    reference_loop.epochs(
                        model,
                        reference_loop.Momentum(model, FIFTY_STEPS),
                        FIFTY_STEPS,
                        feed(FIFTY_STEPS),
                        feed(FIFTY_STEPS, 20, 1),
                        seed=0,
                    )
                )
                one = lane(network, FIFTY_STEPS, mode=mode, device="cuda")
                rows(one)
                begin, end = weights(fresh(network)), weights(model)
                assert (weights(one.model).cpu() - end).norm() < of_way * (end - begin).norm()


def nothing_inside_an_epoch_waits_for_the_device():
    with settled(FAST):
        one = lane(mode=FAST, device="cuda")
        how = stepper([one])
        for strict in (False, True):
            one.begin_epoch()
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error" if strict else "default")
            try:
                for chunk in one.chunks(how.most):
                    how.run(chunk)
            finally:
                torch.cuda.set_sync_debug_mode("default")


def divergence_ends_a_run():
    with settled(FAST):
        [row] = rows(lane(recipe=replace(RECIPE, lr=1e30), mode=FAST, device="cuda"))
        assert not torch.tensor(row.train_loss).isfinite()


CHECKS = {
    check.__name__.replace("_", " "): check
    for check in (
        a_mask_is_the_same_on_either_device,
        kernels_are_their_meaning_in_torch,
        recorded_steps_equal_steps_made_one_by_one,
        side_by_side_equals_one_after_the_other,
        stopped_and_resumed_equals_never_stopped,
        fifty_steps_are_those_of_the_plain_loop,
        nothing_inside_an_epoch_waits_for_the_device,
        divergence_ends_a_run,
    )
}
