"""Run the notebooks whose outputs are out of date, several at a time, into the cache that Sphinx reads."""

import contextlib
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import nbformat
from dependencies import state
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from traitlets.config import Config

MEASURES_TIME = "measures-time"  # the tag of a cell that times code: no other page may compute beside it
TRAINS = re.compile(r"\b(?:train|Trial|run_trials|evaluate|backward)\(")
STOPS = (signal.SIGINT, signal.SIGTERM)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def times(cell: nbformat.NotebookNode) -> bool:
    """Return whether a cell times code."""
    return MEASURES_TIME in cell.metadata.get("tags", ())


class Turns:
    """Lets pages of several processes compute side by side, and a cell that times code alone, in the order of asking.

    The locks are files in ``folder``; they end with their process.
    """

    def __init__(self, folder: Path):
        self.door = (folder / "door.lock").open("w")  # who waits for the machine holds it: nobody passes
        self.machine = (folder / "machine.lock").open("w")

    def take(self, alone: bool) -> None:
        """Wait until a cell may compute, after giving back what was held."""
        self.give()
        fcntl.flock(self.door, fcntl.LOCK_EX)
        fcntl.flock(self.machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self.door, fcntl.LOCK_UN)

    def give(self) -> None:
        """Let others compute alone."""
        fcntl.flock(self.machine, fcntl.LOCK_UN)


@dataclass(frozen=True)
class Page:
    """A notebook to run: its name in the table of contents, its file, and the state of what its outputs depend on."""

    name: str
    path: Path
    state: str

    def read(self) -> nbformat.NotebookNode:
        """Return the notebook."""
        return nbformat.read(self.path, as_version=4)

    @property
    def measures_time(self) -> bool:
        """Whether it times code."""
        return any(map(times, self.read().cells))

    @property
    def trainings(self) -> int:
        """How often its code trains: a guess at its time before its first run."""
        return sum(len(TRAINS.findall(cell.source)) for cell in self.read().cells if cell.cell_type == "code")


@dataclass(frozen=True)
class Runner:
    """Runs a page and puts its outputs into the cache, in a process of its own.

    PyTorch and NumPy take one thread, in a page that times code as many as they like; ``processes`` is how many
    processes a page may start for its networks.
    """

    cache: Path
    timeout: int  # seconds a cell may take
    processes: int

    def __call__(self, page: Page) -> tuple[Page, float, str]:
        """Return the page, its seconds, and what is wrong with it (nothing: it is in the cache now)."""
        os.environ["LOKY_MAX_CPU_COUNT"] = str(self.processes)
        if not page.measures_time:
            os.environ["OMP_NUM_THREADS"] = "1"
        turns = Turns(self.cache)
        turns.take(alone=False)  # a kernel that starts computes, too
        notebook, start = page.read(), time.perf_counter()
        started = []  # code cells

        def begin(cell: nbformat.NotebookNode, **_: object) -> None:
            started.append(cell)
            turns.take(alone=times(cell))

        try:
            with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as sockets:
                # in files: kernels that start together can take the same free port
                kernel = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
                hooks = {"on_cell_execute": begin, "on_cell_executed": lambda **_: turns.give()}
                options = {"allow_errors": False, "config": kernel, **hooks}
                ran = single_nb_execution(notebook, empty, self.timeout, **options)
            problem = ran.err and str(ran.err)
        except Exception as error:  # such as a kernel that died
            problem = f"{type(error).__name__}: {error}"
        finally:
            turns.give()
        seconds = time.perf_counter() - start
        if problem:
            line = started[-1].source.strip().splitlines()[0] if started else ""
            return page, seconds, f"code cell {len(started)} ({line}): {COLOURS.sub('', problem)}"
        data = {"execution_seconds": seconds, "state": page.state}
        bundle = CacheBundleIn(notebook, str(page.path), data=data)
        with FileLock(self.cache / "lock"):  # it drops what another process is about to write
            get_cache(self.cache).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        return page, seconds, ""


def outdated(notebooks: dict[str, Path], folder: Path) -> list[Page]:
    """Return the pages whose outputs are missing or depend on what has changed, the longest first.

    Outputs of another state are dropped from the cache in ``folder``.
    """
    cache = get_cache(folder)
    seconds = {record.uri: record.data["execution_seconds"] for record in cache.list_cache_records()}
    pages = []
    for name, path in notebooks.items():
        page = Page(name, path, state(path))
        with contextlib.suppress(KeyError):
            record = cache.match_cache_notebook(page.read())
            if record.data.get("state") == page.state:
                continue
            cache.remove_cache(record.pk)
        pages.append(page)
    never = float("inf")
    return sorted(pages, key=lambda page: (seconds.get(str(page.path), never), page.trainings), reverse=True)


def work(runner: Runner, page: Page, answer: Connection) -> None:
    """Run a page in a process of its own, and send what the runner returns.

    A signal that stops the build ends this process at once, or as soon as its kernel has ended: nbclient answers it
    while there is one. The build's own answer, which a process inherits, would be an exception, and Python drops one
    that is raised while a process starts.
    """
    for stop in STOPS:
        signal.signal(stop, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    answer.send(runner(page))


def start(runner: Runner, page: Page) -> tuple[multiprocessing.Process, Connection]:
    """Return a process that runs the page, and where its answer will come."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=work, args=(runner, page, there), daemon=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # a process inherits this, too, until it has its own answer
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    there.close()
    return process, here


def run(pages: list[Page], folder: Path, jobs: int, timeout: int) -> Iterator[tuple[Page, float, str]]:
    """Run the pages into the cache in ``folder``; yield each as it ends, with its seconds and what is wrong with it.

    ``jobs`` pages run at a time, on one thread each whatever ``jobs`` is, so that no number depends on it; the
    networks that a page trains side by side share its part of the cores. A cell that times code waits until the others
    have done theirs, and has the whole machine.
    """
    at_once = max(1, min(jobs, len(pages)))
    folder.mkdir(parents=True, exist_ok=True)
    runner = Runner(folder, timeout, max(1, (os.cpu_count() or 1) // at_once))
    # A process a page: each has its own environment, and stops with its kernel when the build is stopped. Not a pool:
    # its processes share locks, and to stop it waits forever for the lock of one that a signal ended.
    waiting, running = list(pages), {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                page = waiting.pop(0)
                process, answer = start(runner, page)
                running[answer] = process, page
            for answer in multiprocessing.connection.wait(running):
                process, page = running[answer]
                result = None
                with contextlib.suppress(EOFError):
                    result = answer.recv()
                process.join()
                del running[answer]
                yield result or (page, 0.0, f"its process ended early (exit code {process.exitcode})")
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.join()
