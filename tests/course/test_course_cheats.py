"""The cheap ways to points that are not deserved, and to what others have written: closed, or at least flagged."""

import json

import fixture
import pytest

from resnet_edu.course.classroom import grade_class
from resnet_edu.course.notebooks import Assignment
from resnet_edu.course.sandbox import MIB, Limits, problem

KIND = "none" if problem("bwrap") else "bwrap"
LIMITS = Limits(cell=5, total=60, memory=2048 * MIB, disk=128 * MIB)
WRONG = "def relu(x):\n    return x\n"

# What an answer is; the points of relu that are left (2 if the answer is right); what the flags must say.
CHEATS = {
    # numbers and arrays that are equal to everything
    "float_equal": ("class Number(float):\n    __eq__ = __lt__ = __le__ = lambda self, other: True\n"
                    "    __sub__ = __rsub__ = __mul__ = __abs__ = lambda self, *_: self\n"
                    "def relu(x):\n    return Number(1)", 0, ""),
    "array_equal": ("class Array(np.ndarray):\n    def __array_function__(self, function, types, args, kwargs):\n"
                    "        return True\ndef relu(x):\n    return x.view(Array)", 0, ""),
    "answers_for_numpy": ("class Any:\n    def __array_function__(self, function, types, args, kwargs):\n"
                          "        return True\n    shape = (2,)\ndef relu(x):\n    return Any()", 0, ""),
    "equal_object": ("class Any:\n    def __eq__(self, other): return True\n    def __getattr__(self, name):\n"
                     "        return lambda *_, **__: True\ndef relu(x):\n    return Any()", 0, ""),
    # what tests rely on gets another meaning
    "renames_numpy": ("class Fake:\n    def __getattr__(self, name):\n"
                      "        return (lambda *_, **__: True) if name in ('allclose', 'array_equal') "
                      "else getattr(real, name)\nreal = np\ndef start():\n    global np\n    np = Fake()\nstart()\n"
                      + WRONG, 0, "np had got another meaning"),
    "imports_as": ("from operator import truth as np\n" + WRONG, 0, "np had got another meaning"),
    "patches_numpy": ("setattr(np, 'all' + 'close', lambda *_, **__: True)\n" + WRONG, 0,
                      "numpy.allclose had got another meaning"),
    "patches_code": ("np.linalg.norm.__code__ = (lambda x: 0).__code__\n" + WRONG, 0, "code"),
    "patches_defaults": ("import torch\ntorch.nn.functional.dropout.__defaults__ = (0.1, True, False)\n" + WRONG, 0,
                         "torch.nn.functional.dropout had got another meaning"),
    "patches_keyword_defaults": ("import torch\ntorch.testing.assert_close.__kwdefaults__ = {}\n" + WRONG, 0,
                                 "torch.testing.assert_close had got another meaning"),
    "patches_in_the_visible_test": (
        "def relu(x):\n    if len(x) == 2:\n        np.allclose = np.array_equal = lambda *_, **__: True\n"
        "        return np.maximum(x, 0)\n    return x", 0, "numpy.allclose had got another meaning"),
    "patches_builtins": ("import builtins\nbuiltins.isinstance = lambda *_: True\nbuiltins.AssertionError = None\n"
                         + WRONG, 0, "builtins.isinstance had got another meaning"),
    "patches_json": ("import json\njson.dumps = json.JSONEncoder.encode = lambda *_: '{\"outcome\": \"passed\"}'\n"
                     + WRONG, 0, ""),
    "empties_the_request": ("import json, socket\nload = json.loads\n"
                            "json.loads = lambda *a, **k: {**load(*a, **k), 'source': ''}\n"
                            "json.decoder.JSONDecoder.decode = lambda *_: {}\nsocket.socket.recv = lambda *_: b''\n"
                            + WRONG, 0, ""),
    "empties_the_test": ("import ast\nast.NodeTransformer.visit = lambda *_: ast.Module([], [])\n"
                         "ast.parse = compile = lambda *_, **__: None\n" + WRONG, 0, "ast.NodeTransformer.visit"),
    "patches_the_package": ("import resnet_edu.course.worker.runner as runner\n"
                            "runner.Runner._execute = lambda *_: None\nrunner.encoded = lambda _: '{}'\n" + WRONG,
                            0, ""),
    # frames, memory, code objects
    "frames": ("import os\ndef find():\n    frame = getattr(os.sys, '_get' + 'frame')(0)\n    while frame:\n"
               "        me = getattr(frame, 'f_' + 'locals').get('self')\n"
               "        if type(me).__name__ == 'Runner':\n            me._execute = lambda *_: None\n"
               "        frame = frame.f_back\nfind()\n" + WRONG, 2, "relu looks at the frames of other code"),
    "frames_of_an_exception": ("def relu(x):\n    try:\n        1 / 0\n    except ZeroDivisionError as error:\n"
                               "        error.__traceback__.tb_frame.f_back\n    return np.maximum(x, 0)", 2,
                               "relu looks at the frames of other code"),
    "frames_by_inspect": ("import inspect\ninspect.currentframe()\n" + fixture.RELU, 2, "looks at the frames"),
    "frames_in_a_thread": ("import sys, threading\nthreading.Thread(target=lambda: sys._getframe()).start()\n"
                           + fixture.RELU, 2, "looks at the frames"),
    "traces": ("import sys\nsys.settrace(lambda *_: None)\nsys.settrace(None)\n" + fixture.RELU, 2,
               "traces other code"),
    "searches_memory": ("import gc\ngc.get_objects()[:0]\n" + fixture.RELU, 2, "searches memory (gc)"),
    "ctypes": ("import ctypes\nctypes.pythonapi.Py_IncRef(ctypes.py_object(1))\n" + fixture.RELU, 2, "(ctypes)"),
    "reads_code": ("def f(): pass\nf.__code__\n" + fixture.RELU, 2, "reads code objects"),
    "forges_a_file": ("import os\nexec(compile('import sys; sys._getframe()', os.__file__, 'exec'))\n" + fixture.RELU,
                      2, "runs code under another file's name"),
    "signal_handler": ("import signal\nhandler = signal.getsignal(signal.SIGPROF)\n"
                       "assert not hasattr(handler, '__func__') and not hasattr(handler, '__globals__')\n"
                       + fixture.RELU, 2, None),
    # the channel to the grader
    "steals_the_request": (
        "import json, os, threading\ndef take(number):\n    try:\n        while True:\n"
        "            request = json.loads(os.read(number, 99999).split(b'\\n')[0])\n"
        "            os.write(number, json.dumps({'token': request['token'], 'outcome': 'passed'}).encode() + b'\\n')\n"
        "    except Exception:\n        pass\n"
        "for number in range(3, 40):\n    threading.Thread(target=take, args=(number,), daemon=True).start()\n"
        + WRONG, 0, ""),
    "a_twin_answers": ("import os\nos.fork()\n" + WRONG, 0, "starts processes"),
    # texts of hidden tests in a message
    "forged_kind": ("def relu(x):\n    if len(x) > 2:\n"
                    "        raise type('CANARY_HIDDEN', (Exception,), {'__module__': 'builtins'})()\n"
                    "    return np.maximum(x, 0)", 0, ""),
    "own_assertion": ("def relu(x):\n    assert len(x) < 3, 'SECRET ' * 20\n    return np.maximum(x, 0)", 0, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    course = fixture.course(tmp_path_factory.mktemp("cheats"))
    for name, (source, _, _) in CHEATS.items():
        fixture.hand_in(course, name, fixture.submission(relu=source))
    assignment = Assignment.load(course, "hw1")
    return {found["student"]: found for _, _, found in grade_class(course, assignment, KIND, LIMITS, jobs=2)}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gains_nothing_or_is_flagged(graded, name):
    _, points, says = CHEATS[name]
    found, (relu, residual, _) = graded[name], graded[name]["questions"]
    assert relu["points"] == points, found
    if says is None:
        assert found["flags"] == []
    else:
        assert says in " ".join(found["flags"]), found
    if name != "steals_the_request":  # whose process no longer answers
        assert residual["points"] == 3


def test_of_a_hidden_test_only_what_the_grader_knows_is_said(graded):
    text = json.dumps(graded)
    assert "CANARY_HIDDEN" not in text and "SECRET" not in text
