"""Where tensors are: which device to take, what it is called, and what it lacks."""

import torch
from torch import Tensor

WITH_FLOAT64 = ("cpu", "cuda")  # Apple's GPUs have no float64, and Intel's not all


def best_device() -> torch.device:
    """Return the CUDA device if there is one, else the Apple GPU if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """Return what people call the device: the GPU's name, or ``"CPU"``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"cpu": "CPU", "mps": "Apple GPU (MPS)"}.get(device.type, device.type)


def to_float64(tensor: Tensor) -> Tensor:
    """Return the tensor in float64: where it is, or on the CPU if its device has no such numbers."""
    return (tensor if tensor.device.type in WITH_FLOAT64 else tensor.cpu()).double()
