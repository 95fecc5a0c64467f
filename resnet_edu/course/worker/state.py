"""The modes of an interpreter that outlive a cell: note them, and set them back before the next question."""

import contextlib
import os
import signal
import sys
import warnings


def snapshot() -> dict[str, tuple]:
    """Return each mode's name, its value, and how to set it."""
    modes = {
        "the working folder": (_folder, _go_to),
        "the limit of recursion": (sys.getrecursionlimit, sys.setrecursionlimit),
        "the standard streams": (lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
        "the filters of warnings": (lambda: (list(warnings.filters), warnings.showwarning), _set_filters),
        "the timer": (lambda: signal.getsignal(signal.SIGPROF), lambda handler: signal.signal(signal.SIGPROF, handler)),
    }
    if "numpy" in sys.modules:
        modes |= _of_numpy(sys.modules["numpy"])
    if "torch" in sys.modules:
        modes |= _of_torch(sys.modules["torch"])
    return {name: (get, set_, get()) for name, (get, set_) in modes.items()}


def restore(modes: dict[str, tuple]) -> list[str]:
    """Set back what has changed since ``snapshot``; return the names of these modes."""
    changed = []
    for name, (get, set_, value) in modes.items():
        try:
            same = get() == value
        except Exception:
            same = False
        if not same:
            with contextlib.suppress(Exception):
                set_(value)
            changed.append(name)
    return changed


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _go_to(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)


def _set_streams(streams: tuple) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _set_filters(value: tuple) -> None:
    warnings.filters[:] = value[0]
    warnings._filters_mutated()
    warnings.showwarning = value[1]


def _of_numpy(numpy) -> dict[str, tuple]:
    return {
        "NumPy's handling of errors": (numpy.geterr, lambda value: numpy.seterr(**value)),
        "NumPy's print options": (
            lambda: {k: v for k, v in numpy.get_printoptions().items() if k != "override_repr"},
            lambda value: numpy.set_printoptions(**value),
        ),
    }


def _of_torch(torch) -> dict[str, tuple]:
    options = torch._tensor_str.PRINT_OPTS
    return {
        # Before the modes: the default device is one of them.
        "the default device": (lambda: _device_mode(torch), lambda _: torch.set_default_device(None)),
        "modes that answer for torch's functions": (torch._C._len_torch_function_stack, lambda n: _pop(torch, n)),
        "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "the gradient mode": (torch.is_grad_enabled, torch._C._set_grad_enabled),
        "deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled,
            lambda value: torch.use_deterministic_algorithms(value),
        ),
        "anomaly detection": (torch.is_anomaly_enabled, lambda value: torch.autograd.set_detect_anomaly(value)),
        "autocast": (
            lambda: torch.is_autocast_enabled("cpu"),
            lambda value: torch.set_autocast_enabled("cpu", value),
        ),
        "the precision of matrix products": (
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        "the number of threads": (torch.get_num_threads, torch.set_num_threads),
        "torch's print options": (lambda: dict(vars(options)), lambda value: vars(options).update(value)),
    }


def _device_mode(torch):
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _pop(torch, left: int) -> None:
    """Take function modes off their stack, but for the first ``left``."""
    while torch._C._len_torch_function_stack() > left:
        torch._C._pop_torch_function_stack()
