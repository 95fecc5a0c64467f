"""Several processes that train one network: who takes which share of a batch, and how sums are made.

Under ``torchrun`` the environment names the processes; without it there is one.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from resnet_edu.devices import best_device


@dataclass(frozen=True)
class Processes:
    """This process's number ``rank`` among ``count``."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share(self, tensor: Tensor) -> Tensor:
        """Return this process's part of ``tensor`` along its first dimension; parts differ by one item at most."""
        return tensor.tensor_split(self.count)[self.rank]

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of ``tensor`` over all processes."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return ``network``, made to average its gradients over the processes.

        Batch normalisation takes its statistics from each process's share, as the paper's two GPUs did; the
        running statistics are those of the first process. ``nn.SyncBatchNorm`` is left to the caller.
        """
        return nn.parallel.DistributedDataParallel(network) if self.count > 1 else network

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def copy_buffers(self, network: nn.Module) -> None:
        """Give every process the first one's running statistics."""
        if self.count > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, src=0)


def processes(device: torch.device) -> Processes:
    """Return the processes that ``torchrun`` started, connected by NCCL (CUDA) or gloo (CPU); else this one alone."""
    if distributed.is_available() and not distributed.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if distributed.is_available() and distributed.is_initialized():
        return Processes(distributed.get_rank(), distributed.get_world_size())
    return Processes()


def leave() -> None:
    """Take this process out of the group that ``processes`` joined, if it did: the end of a program that is done."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def own_device(name: str | None = None) -> torch.device:
    """Return the device of this process: ``name``, or the best there is; ``cuda`` is its own GPU under ``torchrun``.

    Raises ``ValueError`` if there is no such device.
    """
    if name is None:
        name = str(best_device())
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} cannot be used here ({error}); use cpu, or cuda or mps with a GPU") from None
