"""A run's state in one file that is either whole or absent, so that a killed run can go on."""

import pickle
from pathlib import Path

import torch

from resnet_edu.files import replacing

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the mend."""


def save(path: str | Path, state: dict) -> None:
    """Write ``state`` (tensors, numbers, text, lists, dicts) to ``path`` so that a cut leaves the old file whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save({"format": FORMAT, **state}, file)


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
