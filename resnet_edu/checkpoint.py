"""A run's state in one file that is either whole or absent, so that a killed run can go on."""

import os
import pickle
from pathlib import Path

import torch

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the mend."""


def save(path: str | Path, state: dict) -> None:
    """Write ``state`` (tensors, numbers, text, lists, dicts) to ``path`` so that a cut leaves the old file whole.

    The file is written beside its place, forced to the disk, and then renamed, which the system does at once.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")  # always the same: what a killed run left is written over
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | Path, device: torch.device | str = "cpu") -> dict:
    """Return the state that ``save`` wrote, its tensors on ``device``. No code in the file is run.

    Raises ``FileNotFoundError`` if there is none, ``CheckpointError`` if the file is no whole checkpoint.
    """
    path = Path(path)
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no checkpoint {path}; leave out resume to start a new run") from None
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({type(error).__name__}); start a new run") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of resnet_edu; start a new run")
    return state
