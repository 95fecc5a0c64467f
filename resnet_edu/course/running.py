"""Run an assignment with one student's cells in the sandbox, and note what happens.

Points follow from what the sandbox's warden reports of each test, which passes if its visible and its hidden part
pass.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from resnet_edu.course.answers import Own
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import Limits, Sandbox, SandboxError

GRACE = 15  # seconds that the warden gets beyond its own deadline
OWN_SHARE = 0.5  # of a submission's time that the student's own cells may take together


@dataclass
class Trace:
    """What happened: each test's outcome, each cell that failed, what to look at, what was set back."""

    tests: dict[str, dict] = field(default_factory=dict)
    cells: dict[str, dict] = field(default_factory=dict)  # answers
    given: dict[str, dict] = field(default_factory=dict)  # locked cells
    own: list[tuple[Own, dict]] = field(default_factory=list)  # the student's own cells
    flags: list[str] = field(default_factory=list)
    reset: list[tuple[str, str]] = field(default_factory=list)  # a mode, and the question before which it was set back


@dataclass(frozen=True)
class Step:
    """One cell to be run; ``op`` says whose it is: ``given``, ``code`` or ``test``."""

    op: str
    name: str
    source: str
    place: int
    own: Own | None = None


def steps(assignment: Assignment, answers: dict[str, str], own: Sequence[Own]) -> list[Step]:
    """Return all cells up to the last test, in the order of the notebook."""
    last = max((place for place, cell in enumerate(assignment.cells) if cell.is_test), default=-1)
    made: list[Step] = []

    def add_own(after: int) -> None:
        for number, each in enumerate(own, start=1):
            if each.after == after:
                made.append(Step("code", f"own cell {number}", each.cell.source, after, each))

    add_own(-1)
    for place, cell in enumerate(assignment.cells[: last + 1]):
        name = cell.name or str(place)
        if cell.kind == "code" and cell.is_test:
            made.append(Step("test", name, "", place))
        elif cell.kind == "code" and cell.is_answer:
            made.append(Step("code", name, answers.get(name, ""), place))
        elif cell.kind == "code":
            made.append(Step("given", name, cell.source, place))
        add_own(place)
    return made


class Run:
    """One submission on its way through a sandbox. Where a cell kills its process, the others run again without it."""

    def __init__(self, sandbox: Sandbox, limits: Limits, seed: int):
        self.sandbox, self.limits, self.seed = sandbox, limits, seed
        self.trace, self.ran, self.poisoned = Trace(), [], set()
        self.end = time.monotonic() + 3 * limits.total
        self.own_left = OWN_SHARE * limits.total

    @property
    def is_over(self) -> bool:
        """Whether the submission's time is used up."""
        return time.monotonic() > self.end

    def ask(self, step: Step, source: str) -> dict:
        """Run one cell and return the reply; after a process's end, bring a new one to the same place."""
        limit = min(self.limits.cell, max(0.1, (self.end - time.monotonic()) / 3))
        if step.own:
            limit = max(0.1, min(limit, self.own_left))
        start = time.monotonic()
        try:
            reply = self.sandbox.ask(step.op, 3 * limit + GRACE, name=step.name, source=source, limit=limit,
                                     seed=self.seed)  # fmt: skip
        except SandboxError:
            restart(self.sandbox)
            reply = {"outcome": "crashed", "message": "broke the sandbox", "alive": False}
        if step.own:
            self.own_left -= time.monotonic() - start
        reply = checked(reply)
        self._note(step, reply)
        if not reply["alive"]:
            if step.op != "test":
                self.poisoned.add(step)
                self.record(step, reply)
            self._replay()
        return reply

    def _note(self, step: Step, reply: dict) -> None:
        flags = self.trace.flags
        if reply["forged"]:
            flags.append(f"something wrote false replies while {step.name} ran")
        flags += [f"{cell or step.name} {what}" for cell, what in reply["seen"]]
        flags += [f"{name} had got another meaning" for name in reply["changed"]]
        if step.op != "code":
            self.trace.reset += [(mode, step.name) for mode in reply["reset"]]

    def record(self, step: Step, reply: dict) -> None:
        """Note a cell that did not pass."""
        if step.own:
            self.trace.own.append((step.own, reply))
        else:
            (self.trace.cells if step.op == "code" else self.trace.given)[step.name] = reply

    def _replay(self) -> None:
        begin(self.sandbox)
        for step in self.ran:
            if step in self.poisoned or self.is_over:
                continue
            if not self.ask(step, step.source)["alive"]:
                return  # ask has begun anew

    def cell(self, step: Step) -> None:
        """Run a cell that is no test."""
        if step.own and self.own_left <= 0:
            self.record(step, checked({"outcome": "timeout", "message": "was not run: own cells used up their time"}))
            return
        reply = self.ask(step, step.source)
        if reply["outcome"] != "passed" and step not in self.poisoned:
            self.record(step, reply)
        self.ran.append(step)


def run(
    assignment: Assignment,
    answers: dict[str, str],
    sandbox: Sandbox,
    limits: Limits,
    seed: int = 0,
    only: str | None = None,
    own: Sequence[Own] = (),
    begun: bool = False,
) -> Trace:
    """Run an assignment with these answers (the text of cells, by name) and the student's own cells.

    ``only`` leaves out all tests but the ``hidden`` or the ``visible`` ones; with ``begun``, a process is there.
    """
    one = Run(sandbox, limits, seed)
    trace = one.trace
    if not begun:
        begin(sandbox)
    for step in steps(assignment, answers, own):
        cell = assignment.cells[step.place]
        if one.is_over:
            if step.op == "test":
                trace.tests[step.name] = checked({"outcome": "timeout", "message": "was not run: the time was used up"})
        elif step.op == "test":
            for part, source in {"visible": cell.visible, "hidden": cell.hidden}.items():
                if source.strip() and only in (None, part):
                    reply = trace.tests[step.name] = one.ask(step, source) | {"hidden": part == "hidden"}
                    if reply["outcome"] != "passed":
                        break
        elif step.op == "code" and not step.own and step.name not in answers:
            trace.cells[step.name] = checked({"outcome": "missing", "message": "no answer was found"})
        else:
            one.cell(step)
    finish(sandbox)
    trace.flags = list(dict.fromkeys(trace.flags))
    return trace


def begin(sandbox: Sandbox) -> None:
    """Get a process for a submission."""
    try:
        sandbox.ask("begin", GRACE)
    except SandboxError:
        restart(sandbox)
        sandbox.ask("begin", GRACE)


def finish(sandbox: Sandbox) -> None:
    """Clear up after a submission; where that does not work, the next one gets a new sandbox."""
    try:
        clean = sandbox.ask("end", GRACE).get("clean") is True
    except SandboxError:
        clean = False
    if not clean:
        sandbox.stop()


def restart(sandbox: Sandbox) -> None:
    """Put a new sandbox in the place of a broken one."""
    sandbox.stop()
    sandbox.start()


def checked(reply: dict) -> dict:
    """Return a reply with the fields and types that a reply has; a submission may have shaped it."""

    def text(key: str, length: int = 2000) -> str | None:
        return reply[key][:length] if isinstance(reply.get(key), str) else None

    def texts(key: str) -> list[str]:
        found = reply.get(key)
        return [each[:100] for each in found[:20] if isinstance(each, str)] if isinstance(found, list) else []

    outcome, seen = reply.get("outcome"), reply.get("seen")
    return {
        "outcome": outcome if outcome in ("passed", "failed", "timeout", "crashed", "missing") else "crashed",
        "message": text("message") or "",
        "kind": text("kind", 60) or "Exception",
        "by_test": reply.get("by_test") is True,
        "stub": reply.get("stub") is True,
        "cell": text("cell", 100),
        "line": reply["line"] if type(reply.get("line")) is int else None,
        "missing": text("missing", 100),
        "changed": texts("changed"),
        "reset": texts("reset"),
        "seen": [tuple(each) for each in seen] if isinstance(seen, list) else [],
        "alive": reply.get("alive") is True,
        "forged": reply.get("forged") is True,
    }
