"""A stand-in for a GPU that is not here: its tensors compute on the CPU, refuse float64 as Apple's GPUs do, and refuse
to meet tensors of the CPU.

They say that they are on ``meta``: autograd knows no other device without hardware.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("meta")


class Elsewhere(Tensor):
    """A tensor that claims to be on the stand-in; ``held`` computes for it."""

    @staticmethod
    def __new__(cls, held: Tensor):
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError(
                f"Cannot convert a MPS Tensor to {held.dtype} dtype as the MPS framework doesn't support it"
            )
        self = Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        self.held = held
        return self

    def __repr__(self) -> str:
        return f"Elsewhere({self.held})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _compute(function, args, kwargs or {})


def _compute(function, args, kwargs):
    flat, _ = tree_flatten((args, kwargs))
    here = any(isinstance(one, Elsewhere) for one in flat)
    asked = kwargs.get("device")
    if asked is not None:
        here = torch.device(asked).type == "meta"
        kwargs = {**kwargs, "device": "cpu"}
    if here:
        for one in flat:
            if isinstance(one, Tensor) and not isinstance(one, Elsewhere) and one.dim() and "copy" not in str(function):
                raise RuntimeError(f"Expected all tensors to be on the same device, but {function} got meta and cpu")
    args, kwargs = tree_map_only(Elsewhere, lambda one: one.held, (args, kwargs))
    given = {id(one.held): one for one in flat if isinstance(one, Elsewhere)}
    made = function(*args, **kwargs)
    if not here:
        return made
    return tree_map_only(Tensor, lambda one: given[id(one)] if id(one) in given else Elsewhere(one), made)


class _Factories(TorchDispatchMode):
    """Makes what is created on ``mps`` tensors of the stand-in."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _compute(function, args, kwargs or {})


class _Literals(TorchFunctionMode):
    """What passes the dispatcher by: ``torch.tensor``, and numbers read back."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "meta":
            return Elsewhere(function(*args, **{**kwargs, "device": "cpu"}))
        if function is Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].held.tolist()
        return function(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Let ``meta`` be the stand-in inside, and have generators, which draw on the CPU."""
    generator = torch.Generator

    class OnTheCpu(generator):
        def __new__(cls, device="cpu"):
            return generator.__new__(cls)

    torch.Generator = OnTheCpu
    try:
        with _Literals(), _Factories():
            yield DEVICE
    finally:
        torch.Generator = generator
