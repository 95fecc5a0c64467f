"""Nothing of one submission is left for the next: no heap, no memory that no process owns, no namespace."""

import platform

import fixture
import pytest

from resnet_edu.course import running
from resnet_edu.course.classroom import grade_class
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import MIB, Limits, Sandbox, problem
from resnet_edu.course.worker import seccomp

needs_bwrap = pytest.mark.skipif(problem("bwrap") is not None, reason=f"bubblewrap does not work: {problem('bwrap')}")
needs_filter = pytest.mark.skipif(not seccomp.supported(), reason="the system calls of this machine are not known")
LIMITS = Limits(cell=10, total=60, memory=1024 * MIB, disk=64 * MIB)

# Look for a text, given backwards, in the process's own memory; the search itself never holds it in one piece.
# A process that the grader's root has given to another user reads its memory only after it has said that others may.
SCAN = """
import ctypes
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
def holds(text):
    rest, last = text[1:][::-1].encode(), ord(text[0])
    for line in open("/proc/self/maps"):
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if " r" in line and "[v" not in line and high - low < 1 << 30:
            for start in range(low, high, 1 << 22):
                try:
                    with open("/proc/self/mem", "rb", 0) as file:
                        file.seek(start)
                        part = file.read(min(high - start, (1 << 22) + 64))
                except (OSError, ValueError, OverflowError):
                    break
                place = part.find(rest)
                while place >= 0:
                    if part[place + len(rest) : place + len(rest) + 1] == bytes([last]):
                        return True
                    place = part.find(rest, place + 1)
    return False
"""


def graded(folder, kind, limits=LIMITS, **answers):
    """Grade answers to relu one after the other, in one sandbox; return the results by name."""
    course = fixture.course(folder, **{name: fixture.submission(relu=text) for name, text in answers.items()})
    assignment = Assignment.load(course, "hw1")
    return {found["student"]: found for _, _, found in grade_class(course, assignment, kind, limits)}


def test_a_child_inherits_nothing_of_other_submissions_and_no_test(tmp_path):
    """Without walls, where memory can be read: a later process holds neither an earlier answer nor a hidden test."""
    look = (
        SCAN + "found = [name for name in ('TSRIF_FO_TERCES', 'a3f7_laudiser_NEDDIH_YRANAC') if holds(name)]\n"
        "control = holds('ereht_si_siht')\nmark = 'this_is_there'\n"
        "def relu(x):\n    raise ValueError(f'{found} {control}')"
    )
    first = f"note = 'SECRET_OF_FIRST'\n{fixture.RELU}"
    found = graded(tmp_path, "none", Limits(cell=60, total=200), a_first=first, b_second=look)
    assert found["a_first"]["automatic"] == 5
    message = found["b_second"]["questions"][0]["message"]
    assert message.startswith("ValueError: [] True"), message
    assert any("opens /proc/self/mem" in flag for flag in found["b_second"]["flags"])


@needs_bwrap
@needs_filter
@pytest.mark.parametrize(
    "call",
    [
        "os.memfd_create('x')",
        "check(libc.shmget(5, 1 << 20, 0o1600))",
        "check(libc.unshare(0x10000000))",
        "check(libc.syscall(250, 0, -3, 0))" if platform.machine() == "x86_64" else "os.memfd_create('y')",
    ],
    ids=["memfd", "System V", "user namespace", "keys"],
)
def test_memory_that_no_process_owns_cannot_be_had(tmp_path, call):
    source = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def check(result):\n    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))\n"
        f"def relu(x):\n    {call}\n    return np.maximum(x, 0)"
    )
    question = graded(tmp_path, "bwrap", one=source)["one"]["questions"][0]
    assert question["points"] == 0 and "Function not implemented" in question["message"], question


@needs_bwrap
def test_posix_shared_memory_has_a_limit_and_is_gone_afterwards(tmp_path):
    make = (
        "from multiprocessing import shared_memory, resource_tracker\n"
        "def relu(x):\n    shared_memory.SharedMemory('left', create=True, size={0}).buf[:{0}] = bytes({0})\n"
        "    return np.maximum(x, 0)"
    )
    look = (
        "from multiprocessing import shared_memory\n"
        "def relu(x):\n    shared_memory.SharedMemory('left')\n    return np.maximum(x, 0)"
    )
    fill = "def relu(x):\n    for n in range(9):\n        open(f'/dev/shm/{n}', 'wb').write(bytes(32 << 20))"
    found = graded(tmp_path, "bwrap", a_small=make.format(1 << 20), b_look=look, c_fill=fill)
    assert found["a_small"]["questions"][0]["points"] in (0, 2)  # the test's second call finds the name taken
    assert "FileNotFoundError" in found["b_look"]["questions"][0]["message"]
    assert "No space left" in found["c_fill"]["questions"][0]["message"]


@needs_bwrap
def test_several_processes_share_one_limit(tmp_path):
    source = (
        "import os, time\ndef relu(x):\n    for _ in range(6):\n        if os.fork() == 0:\n"
        "            data = b'x' * (400 << 20)\n            time.sleep(60)\n    time.sleep(60)"
    )
    found = graded(tmp_path, "bwrap", Limits(cell=20, total=60, memory=1536 * MIB), one=source)["one"]
    assert found["status"] == "crashed" and "used more than 1,536 MiB" in found["questions"][0]["message"]
    assert found["questions"][1]["points"] == 3


@needs_bwrap
def test_processes_of_another_grading_do_not_count(tmp_path):
    """Two people grade on one machine: each sandbox is the first of its own grading, and each is nearly full."""
    source = """import threading, time
threading.stack_size(1 << 20)
for _ in range(90):
    threading.Thread(target=time.sleep, args=(60,)).start()
"""
    course = fixture.course(tmp_path)
    sandboxes = [Sandbox("bwrap", course, LIMITS, ["numpy"]) for _ in range(2)]
    try:
        for sandbox in sandboxes:
            sandbox.start()
            running.begin(sandbox)
            reply = sandbox.ask("code", 60, name="threads", source=source, limit=LIMITS.cell, seed=0)
            assert reply["outcome"] == "passed", reply
    finally:
        for sandbox in sandboxes:
            sandbox.close()


def test_the_filter_is_a_whole_program():
    for machine, numbers in seccomp.MACHINES.items():
        program = seccomp._program(**numbers)
        assert len(program) % 8 == 0 and len(numbers["denied"]) == len(set(numbers["denied"])), machine
