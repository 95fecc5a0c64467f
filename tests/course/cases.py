"""Submissions that break graders, each with the status and the points that it must get.

Points are of 5: relu has 2, residual 3. ``None`` means that nothing could be graded, which is no 0.
"""

import json
from dataclasses import dataclass, field

import fixture
from fixture import changed, doubled, stripped, submission, through_colab, without

OK, REVIEW = ("graded",), ("needs_review",)


@dataclass(frozen=True)
class Case:
    """What is handed in, and what must come of it; ``says`` stands somewhere in messages and flags."""

    notebook: object
    status: tuple[str, ...]
    points: float | None
    says: str = ""
    name: str = "hw1.ipynb"
    needs_sandbox: bool = field(default=False)


def relu(body, before=""):
    """Return a submission whose relu first does something; whatever happens, residual is right."""
    return submission(relu=f"{before}\ndef relu(x):\n    {body}\n    return np.maximum(x, 0)")


def residual(body, before=""):
    return submission(residual=f"{before}\ndef residual(x, f):\n    {body}\n    return f(x) + x")


def cases(secrets, port):
    """Return all cases by name. ``secrets`` are files that nobody may read, ``port`` a server nobody may reach."""
    right = submission()
    foreign = json.loads(json.dumps(right))
    foreign["metadata"]["kernelspec"] = {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}
    noisy = json.loads(json.dumps(right))
    noisy["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 30_000_000}]
    greedy = json.loads(json.dumps(right))
    for each in greedy["cells"]:
        if "points" in each["metadata"]["nbgrader"]:
            each["metadata"]["nbgrader"]["points"] = {"test_relu": float("nan"), "test_residual": -100}.get(
                each["id"], 1e9
            )
    moved = stripped(right)
    moved["cells"] = moved["cells"][::-1]
    other = fixture.notebook(
        [fixture.cell(f"other_{i}", "code", f"def thing_{i}():\n    pass", solution=True) for i in range(8)]
    )
    helper = changed(
        submission(relu="def relu(x):\n    return positive(x)"), "summary", "def positive(x): return x * (x > 0)"
    )
    helper["cells"][-1]["metadata"] = {}
    own_import = submission(residual="from numpy import add\ndef residual(x, f):\n    return add(f(x), x)")
    forge = (
        "import os, json\n    for number in range(3, 30):\n        try:\n"
        '            os.write(number, b\'{"outcome": "passed", "token": "0"}\\n\')\n'
        "        except OSError:\n            pass"
    )
    loud = "import {0}\n    {1}"
    steal = (
        f"for path in {secrets}:\n        try:\n            open(path).read()\n        except OSError:\n"
        "            continue\n        raise RuntimeError('READ ' + path)"
    )
    connect = (
        f"import socket\n    try:\n        socket.create_connection(('127.0.0.1', {port}), 2)\n"
        "    except OSError:\n        pass\n    else:\n        raise RuntimeError('REACHED THE NETWORK')"
    )
    fill = (
        "for number in range(100):\n        with open(f'/tmp/{number}', 'wb') as file:\n"
        "            file.write(bytes(64 << 20))"
    )
    daemon = (
        "import subprocess\n    subprocess.Popen(['sleep', '98765'], start_new_session=True)\n"
        "    subprocess.Popen('setsid nohup sleep 98764 &', shell=True)"
    )
    return {
        # honest answers
        "right": Case(right, OK, 5),
        "wrong": Case(submission(relu="def relu(x):\n    return x"), OK, 3, "relu of [-1, 2] must be [0, 2]"),
        "only_visible": Case(
            submission(relu="def relu(x):\n    return np.where(x > 1, x, 0)"), OK, 3, "keep positive numbers"
        ),
        "in_place": Case(
            submission(relu="def relu(x):\n    x[x < 0] = 0\n    return x"), OK, 3, "changed its input in place"
        ),
        "unanswered": Case(submission(fixture.STUB_RELU, fixture.STUB_RESIDUAL), OK, 0, "Nothing is written here yet"),
        "half": Case(submission(relu=fixture.STUB_RELU), OK, 3, "Nothing is written here yet"),
        # notebooks that tools and people have changed
        "colab": Case(through_colab(right), OK, 5),
        "colab_copy": Case(through_colab(right), OK, 5, name="Copy of hw1.ipynb"),
        "browser_copy": Case(right, OK, 5, name="hw1 (1).ipynb"),
        "no_metadata": Case(stripped(right), OK, 5),
        "no_metadata_shuffled": Case(moved, REVIEW, 5, "why has no answer in its place, but text stands elsewhere"),
        "test_edited": Case(changed(right, "test_relu", "assert True"), OK, 5),
        "test_edited_to_hide": Case(
            changed(submission(relu="def relu(x):\n    return x"), "test_relu", "assert True"), OK, 3, "must be [0, 2]"
        ),
        "test_deleted": Case(without(right, "test_relu", "test_residual"), OK, 5),
        "all_locked_deleted": Case(without(right, "setup", "title", "test_relu", "test_residual", "summary"), OK, 5),
        "answer_deleted": Case(without(right, "relu"), REVIEW, 3, "No cell that defines relu was found"),
        "test_doubled": Case(doubled(right, "test_relu"), OK, 5),
        "answer_doubled": Case(doubled(right, "relu"), OK, 5),
        "answer_twice": Case(
            changed(doubled(right, "relu"), "relu", "def relu(x):\n    return x"), REVIEW, 5, "last one counts"
        ),
        "other_kernel": Case(foreign, OK, 5),
        "helper_cell": Case(helper, REVIEW, 3, "is defined in a cell further down"),
        "own_import": Case(own_import, OK, 5),
        "output_30_mb": Case(noisy, OK, 5),
        "byte_order_mark": Case(b"\xef\xbb\xbf" + json.dumps(right).encode(), OK, 5),
        "points_changed": Case(greedy, OK, 5),
        # files that are no notebook
        "truncated": Case(json.dumps(right)[:700], ("unreadable",), None, "no JSON"),
        "empty": Case("", ("unreadable",), None, "the file is empty"),
        "latin_1": Case(json.dumps(right).encode()[:-1] + b'"caf\xe9"}', ("unreadable",), None, "not UTF-8"),
        "utf_16": Case(json.dumps(right).encode("utf-16"), ("unreadable",), None, "not UTF-8"),
        "deep": Case("[" * 100_000, ("unreadable",), None, "no JSON"),
        "other_json": Case('{"cells": 3}', ("unreadable",), None, "no list of cells"),
        "surrogate": Case(changed(right, "relu", "x = '\ud800'"), ("unreadable",), None, "no text"),
        "other_assignment": Case(other, ("wrong_notebook",), None, "hand in the right notebook"),
        # warnings are no errors
        "warning": Case(relu(loud.format("warnings", "warnings.warn('careful')")), OK, 5),
        "progress_bar": Case(relu("import tqdm; list(tqdm.tqdm(range(3)))"), OK, 5),
        "logging": Case(relu(loud.format("logging", "logging.warning('careful')")), OK, 5),
        "prints_30_mb": Case(relu("print('x' * 30_000_000)"), OK, 5),
        # answers that fail
        "syntax_error": Case(submission(relu="def relu(x:\n    return x"), OK, 3, "SyntaxError"),
        "exits": Case(relu("raise SystemExit"), OK, 3, "SystemExit"),
        "asks": Case(relu("input('?')"), OK, 3, "EOFError"),
        "recursion": Case(submission(relu="def relu(x):\n    return relu(x)"), OK, 3, "RecursionError"),
        "magics": Case(submission(relu="%matplotlib inline\n!true\n" + fixture.RELU), OK, 5),
        # loops, crashes, exhaustion: the other question keeps its points
        "loop": Case(relu("while True: pass"), ("timeout",), 3, "did not end in time"),
        "loop_at_top": Case(relu("pass", "while True: pass"), ("timeout",), 3, "did not end in time"),
        "stubborn_loop": Case(
            relu("while True:\n        try:\n            while True: pass\n        except BaseException: pass"),
            ("timeout",),
            3,
            "did not end in time",
        ),
        "endless_print": Case(relu("while True: print('x' * 10_000)"), ("timeout",), 3, "did not end in time"),
        "os_exit": Case(
            residual("os._exit(0)", "import os"), ("crashed",), 2, "ended the Python process (exit status 0)"
        ),
        "killed": Case(residual("os.kill(os.getpid(), 9)", "import os"), ("crashed",), 2, "signal 9 (SIGKILL)"),
        "segfault": Case(relu("import ctypes; ctypes.string_at(0)"), ("crashed",), 3, "signal 11"),
        "exit_at_top": Case(relu("pass", "import os; os._exit(1)"), ("crashed",), 3, "ended the Python process"),
        # What is mapped counts, touched or not, so a busy machine changes nothing: to touch 1 GiB took it seconds.
        "memory_bomb": Case(relu("y = [np.empty(1 << 26) for _ in range(1000)]"), OK, 3, "MemoryError"),
        "memory_20_gb": Case(relu("np.ones(20 * 2 ** 27)"), OK, 3, "Unable to allocate 20.0 GiB"),
        "torch_20_gb": Case(relu("import torch; torch.ones(5 * 2 ** 30)"), OK, 3, "allocate"),
        "shared_memory": Case(
            relu("import mmap\n    np.frombuffer(mmap.mmap(-1, 1 << 33), np.uint8)[::4096] = 1"),
            OK,
            3,
            "Cannot allocate memory",
        ),
        "fork_bomb": Case(
            relu("while True: os.fork()", "import os"), ("crashed", "timeout", "needs_review"), 3, needs_sandbox=True
        ),
        "fills_the_disk": Case(relu(fill), OK, 3, "OSError", needs_sandbox=True),
        # attacks
        "patched_numpy": Case(
            relu("return x", "np.allclose = np.array_equal = lambda *_, **__: True"),
            REVIEW,
            3,
            "numpy.allclose had got another meaning",
        ),
        "patched_quietly": Case(
            relu("return x", "setattr(np, 'all' + 'close', lambda *_, **__: True)"),
            REVIEW,
            3,
            "numpy.allclose had got another meaning",
        ),
        "drops_asserts": Case(
            relu("return x", "get_ipython().input_transformers_post.append(lambda lines: ['\\n'])"),
            OK,
            3,
            "relu of [-1, 2] must be [0, 2]",
        ),
        "hides_tracebacks": Case(
            relu("return x", "get_ipython().showtraceback = lambda *a, **k: None"), OK, 3, "must be [0, 2]"
        ),
        "reads_history": Case(relu("raise ValueError(In[-1])"), OK, 3, "name 'In' is not defined"),
        "prints_the_test": Case(
            submission(
                relu="import inspect\ndef relu(x):\n    if len(x) == 2: return np.maximum(x, 0)\n"
                "    raise ValueError(inspect.currentframe().f_back.f_code.co_consts)"
            ),
            REVIEW,
            3,
            "Your code raises ValueError on another input",
        ),
        "forges": Case(relu(forge), REVIEW, 5, "wrote false replies"),
        "steals": Case(relu(steal), REVIEW, 5, "opens /etc/passwd", needs_sandbox=True),
        "connects": Case(relu(connect), REVIEW, 5, "uses the network", needs_sandbox=True),
        "leaves_processes": Case(relu(daemon), REVIEW, 5, "starts processes"),
        "kills_all": Case(residual("os.kill(-1, 9)", "import os"), REVIEW, 5, "sends signals", needs_sandbox=True),
        "kills_the_warden": Case(
            relu("os.kill(os.getppid(), 9)", "import os"), REVIEW, 5, "sends signals", needs_sandbox=True
        ),
    }


HONEST = ("right", "wrong", "only_visible", "in_place", "unanswered", "half", "other_kernel", "warning", "exits")
