"""What tests rely on is compared with what it was, and put back."""

import types

import pytest

from resnet_edu.course.worker.watching import Originals

SOURCE = """
def function(a=1, *, b=2):
    return a + b
def other():
    return 0
class Layer:
    def __call__(self):
        return self.forward()
    def forward(self):
        return 1
class Inheriting(Layer):
    pass
"""


def module():
    made = types.ModuleType("lib")
    exec(SOURCE, made.__dict__)
    return made


def all_as_it_was(lib) -> bool:
    return (lib.function(), lib.other(), lib.Layer()(), lib.Inheriting()()) == (3, 0, 1, 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("lib.other = lambda: 5", ["lib.other"]),
        ("del lib.other", ["lib.other"]),
        ("lib.Layer.forward = lambda self: 5", ["lib.Layer.forward"]),
        ("del lib.Layer.forward", ["lib.Layer.forward"]),
        ("lib.Inheriting.forward = lambda self: 5", ["lib.Inheriting.forward"]),
        ("lib.Layer = lib.Inheriting = None", ["lib.Layer", "lib.Inheriting"]),
        ("lib.function.__code__ = (lambda a=1, *, b=2: 5).__code__", ["lib.function"]),
        ("lib.function.__defaults__ = (5,)", ["lib.function"]),
        ("lib.function.__kwdefaults__ = {'b': 5}", ["lib.function"]),
        ("lib.Layer.forward.__code__ = (lambda self: 5).__code__", ["lib.Layer.forward"]),
        ("lib.Layer.count = 5", []),
        ("lib.new = 5", []),
    ],
)
def test_what_was_replaced_is_put_back_and_named(change, named):
    lib, originals = module(), Originals()
    originals.add_module(lib, "lib")
    assert originals.repair() == []
    exec(change, {"lib": lib})
    originals.touched = "__" in change  # the audit hook says that: one cannot be taken away from this process again
    assert originals.repair() == named and all_as_it_was(lib)
    assert originals.repair() == []


def test_one_module_can_be_looked_at_alone():
    lib, second, originals = module(), module(), Originals()
    originals.add_module(lib, "lib")
    originals.add_module(second, "second")
    lib.other = second.other = None
    assert originals.repair("second") == ["second.other"] and lib.other is None
    assert originals.repair() == ["lib.other"]
