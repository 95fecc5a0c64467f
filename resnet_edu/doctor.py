"""What this machine can do for the book, and how to mend what is missing."""

import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, whether it is fine, whether the book needs it, and the mend."""

    name: str
    found: str
    ok: bool
    needed: bool = False
    mend: str = ""


def examine() -> list[Finding]:
    """Look at Python, packages, devices, memory, data sets, weights, browser and sandbox; change nothing."""
    return [
        _python(),
        _packages(),
        _processor(),
        _gpu(),
        *_data_sets(),
        _weights(),
        _notebooks(),
        _browser(),
        _sandbox(),
    ]


def report(findings: list[Finding]) -> str:
    """Return the findings as text: a mark, the name, what was found, and the mend on a line of its own."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "ok     " if finding.ok else ("MISSING" if finding.needed else "absent ")
        lines.append(f"{mark} {finding.name:{width}}  {finding.found}")
        if not finding.ok and finding.mend:
            lines.append(f"{'':{width + 10}}mend: {finding.mend}")
    return "\n".join(lines)


def _python() -> Finding:
    return Finding(
        "Python", platform.python_version(), sys.version_info >= (3, 11), True, "install Python 3.11 or newer"
    )


def _packages() -> Finding:
    names = ("torch", "torchvision", "numpy", "matplotlib", "scikit-learn", "joblib", "tqdm")
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found) + (f"; not installed: {', '.join(missing)}" if missing else "")
    return Finding("packages", text, not missing, True, f"pip install {' '.join(missing)}")


def _processor() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB of memory"
    return Finding("processor", f"{cores} cores ({torch.get_num_threads()} threads in torch){memory}", True)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [
            f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 2**30:.0f} GiB"
            for i in range(torch.cuda.device_count())
        ]
        return Finding("GPU", "; ".join(names), True)
    if torch.backends.mps.is_available():
        return Finding("GPU", "Apple GPU (MPS)", True)
    mend = "every page also runs on the CPU; in Colab: Runtime > Change runtime type"
    return Finding("GPU", "no CUDA device and no Apple GPU", False, mend=mend)


def _data_sets() -> list[Finding]:
    from resnet_edu.datasets import FOLDERS, data_root, digits

    bundled = digits()
    findings = [Finding("digits", f"bundled, {len(bundled.train) + len(bundled.test):,} images", True, True)]
    for name, folder in FOLDERS.items():
        path = data_root() / folder
        there = path.is_dir() and any(path.iterdir())
        mend = f"resnet-edu train --data {name} --dry-run fetches it (network needed)"
        findings.append(Finding(name, str(path) if there else f"not in {data_root()}", there, mend=mend))
    return findings


def _weights() -> Finding:
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    files = sorted(file.name for file in folder.glob("resnet*.pth"))
    mend = 'networks.pretrained("resnet18") fetches its weights (network needed)'
    return Finding("weights", ", ".join(files) or f"none in {folder}", bool(files), mend=mend)


def _notebooks() -> Finding:
    names = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    found = ", ".join(name for name in names if name not in missing)
    mend = 'pip install "resnet-edu[book]", or in the repository: make venv'
    return Finding("notebooks", found or "none of JupyterLab's packages", not missing, mend=mend)


def _browser() -> Finding:
    path = find_browser()
    return Finding("browser for tests", path or "no Chromium", path is not None, mend="in the repository: make browser")


def find_browser() -> str | None:
    """Return the path of the system's Chromium or Chrome, or None; the one without a window's parts comes first."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    return next(filter(None, map(shutil.which, names)), None) or (str(mac) if mac.exists() else None)


def _sandbox() -> Finding:
    """Look at what ``resnet-edu course grade`` uses: bubblewrap by default, or docker."""
    from resnet_edu.course import cgroups
    from resnet_edu.course.sandbox import problem
    from resnet_edu.course.worker import seccomp

    reasons = {kind: problem(kind) for kind in ("bwrap", "docker")}
    working = [kind for kind, reason in reasons.items() if reason is None]
    if not working:
        mend = "sudo apt-get install bubblewrap, and allow user namespaces; without walls grade only what you would run"
        return Finding("grading", f"bubblewrap: {reasons['bwrap']}; docker: {reasons['docker']}", False, mend=mend)
    group = cgroups.make("resnet-edu-doctor", 1 << 30)
    cgroups.remove(group)
    limits = ["limits by control group" if group else "LIMITS BY COUNTING ALONE (no control group can be made here)"]
    if not seccomp.supported():
        limits.append("MEMORY THAT NO PROCESS OWNS IS NOT LIMITED (unknown machine)")
    return Finding("grading", "; ".join([", ".join(working), *limits]), True)
