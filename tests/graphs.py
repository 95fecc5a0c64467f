"""A stand-in for CUDA graphs on the CPU: what runs while one is recorded is noted, and done again by ``replay``."""

import contextlib
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Graph:
    """Operations with the tensors that they read and write."""

    def __init__(self):
        self.calls = []

    def replay(self) -> None:
        """Do the operations again, into the tensors of the recording."""
        with torch.no_grad():
            for function, args, kwargs, made in self.calls:
                for old, new in zip(tree_leaves(made), tree_leaves(function(*args, **kwargs)), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class _Note(TorchDispatchMode):
    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.graph.calls.append((function, args, kwargs or {}, made))
        return made


def install(monkeypatch, empty: bool = False) -> list[Graph]:
    """Let ``cuda_graph`` use the stand-in on the CPU; return the graphs that are made. ``empty`` records nothing."""
    made = []
    stream = SimpleNamespace(wait_stream=lambda other: None)

    def graph() -> Graph:
        made.append(Graph())
        return made[-1]

    monkeypatch.setattr("resnet_edu.training._Run._check", lambda self: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda *_: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda one, **_: contextlib.nullcontext() if empty else _Note(one))
    return made
