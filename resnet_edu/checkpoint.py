"""A run's state in one file that is either whole or absent, so that a killed run can go on."""

import io
import pickle
from pathlib import Path

import torch

from resnet_edu.files import replacing

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the mend."""


def try_place(path: str | Path) -> None:
    """Raise ``ValueError`` if a checkpoint could not be written to ``path``; what is there stays as it is."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"the checkpoint must be a file, got the folder {path}; name a file in it")
    trial = path.with_name(f".{path.name}.try")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"x")
        trial.unlink()
    except OSError as error:
        raise ValueError(f"no checkpoint can be written to {path} ({error.strerror}); name another place") from None


def save(path: str | Path, state: dict) -> None:
    """Write ``state`` (tensors, numbers, text, lists, dicts) to ``path`` so that a cut leaves the old file whole.

    Raises ``CheckpointError`` if it cannot be written, as on a full disk.
    """
    path = Path(path)
    content = io.BytesIO()  # torch would turn the system's error into one of its own
    torch.save({"format": FORMAT, **state}, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content.getbuffer())
    except OSError as error:
        kept = "the one before is still there" if path.exists() else "there is none yet"
        raise CheckpointError(
            f"the checkpoint {path} could not be written ({error.strerror or error}); {kept}; mend that, and go on "
            "with resume=True (--resume)"
        ) from error


def load(path: str | Path, device: torch.device | str = "cpu") -> dict:
    """Return the state that ``save`` wrote, its tensors on ``device``. No code in the file is run.

    Raises ``FileNotFoundError`` if there is none, ``CheckpointError`` if the file is no whole checkpoint or may not be
    read.
    """
    path = Path(path)
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no checkpoint {path}; leave out resume to start a new run") from None
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read ({error.strerror or error})") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint ({type(error).__name__}); start a new run") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of resnet_edu; start a new run")
    return state
