"""Where tensors are: which device to take, what it is called, and what it lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

CPU = torch.device("cpu")
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


def default_generator(device: torch.device) -> torch.Generator:
    """Return the generator from which operations on the device draw (dropout), and no other."""
    if device.type == "cuda":
        torch.cuda.init()
        return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    return torch.mps._get_default_mps_generator() if device.type == "mps" else torch.default_generator


@contextmanager
def random_numbers(state: int | Tensor | None = None, device: torch.device = CPU) -> Iterator[torch.Generator]:
    """Draw the device's random numbers from a seed or a state inside; afterwards they go on as if none had been drawn.

    Yields the generator, which tells the state reached. The default is the CPU, where networks are built. No other
    device is asked or seeded, as ``torch.manual_seed`` and ``fork_rng`` alone would do to every GPU.
    """
    generator = default_generator(device)
    kept = generator.get_state()
    try:
        if isinstance(state, int):
            generator.manual_seed(state)
        elif state is not None:
            generator.set_state(state)
        yield generator
    finally:
        generator.set_state(kept)


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes are free on the device, for the CPU within the limits of a container; None if unknown."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return _free_host_memory() if device.type == "cpu" else None


def _free_host_memory() -> int | None:
    free = []
    try:
        rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(1024 * int(rows["MemAvailable"].split()[0]))
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError, KeyError):  # not Linux, or no container
        pass
    return min(free, default=None)


def in_gib(count: float) -> str:
    """Return a number of bytes as text, in GiB or MiB."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**29 else f"{count / 2**20:,.0f} MiB"


@contextmanager
def full_precision() -> Iterator[None]:
    """Let products and convolutions of float32 numbers use all their bits inside; decorates functions as well.

    NVIDIA's GPUs since Ampere round the factors to TF32, 11 of 24 bits, in convolutions unless told otherwise:
    gradients and Jacobians are then off by 1e-3. (``torch.backends.cudnn.flags`` has the switch, too, but its own
    default turns cuDNN off.)
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # since PyTorch 2.9, which refuses to read the switches of before once these are set
        switches = [(cudnn.conv, "fp32_precision", "ieee"), (matmul, "fp32_precision", "ieee")]
    else:
        switches = [(cudnn, "allow_tf32", False), (matmul, "allow_tf32", False)]
    before = [(place, name, getattr(place, name)) for place, name, _ in switches]
    try:
        for switch in switches:
            setattr(*switch)
        yield
    finally:
        for switch in before:
            setattr(*switch)


def to_float64(tensor: Tensor) -> Tensor:
    """Return the tensor in float64: where it is, or on the CPU if its device has no such numbers."""
    return (tensor if tensor.device.type in WITH_FLOAT64 else tensor.cpu()).double()
