"""Make a test compare plain values, whatever classes an answer gives.

A class can say that it equals everything (``__eq__``), that a difference from it is 0 (``__sub__``), or answer in the
place of torch's functions (``__torch_function__``). So the grader compiles tests with a call around each value that
may come from an answer: an instance of a class that the answer made from ``int``, ``float``, ``tuple``,
``torch.Tensor`` … becomes one of that very type, by the base class's own operators, and a class that decides itself
what it equals is an error of the answer.
"""

import ast
import sys

PLAIN, VALUE, EACH = "<plain>", "<value>", "<each>"  # no identifiers: an answer cannot write them
COMPARED = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
DECIDES = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__contains__")
ANSWERS = ("__torch_function__", "__torch_dispatch__", "__array_function__", "__array_ufunc__")
LIBRARIES = (sys.prefix, sys.base_prefix, "<frozen ", "<__array_function__ internals>")


class _Guards(ast.NodeTransformer):
    """Put the calls around values: results, attributes and items everywhere, names where they are used."""

    def visit_Call(self, node):
        self.generic_visit(node)
        node.args = [
            ast.copy_location(ast.Starred(_call(PLAIN, arg.value), ast.Load()), arg)
            if isinstance(arg, ast.Starred)
            else _operand(arg)
            for arg in node.args
        ]
        for keyword in node.keywords:
            keyword.value = _operand(keyword.value)
        return _call(PLAIN, node)

    def visit_Attribute(self, node):
        self.generic_visit(node)
        return _call(PLAIN, node) if isinstance(node.ctx, ast.Load) else node

    def visit_Subscript(self, node):
        self.generic_visit(node)
        return _call(PLAIN, node) if isinstance(node.ctx, ast.Load) else node

    def visit_Compare(self, node):
        self.generic_visit(node)
        if any(isinstance(operator, COMPARED) for operator in node.ops):
            node.left = _call(VALUE, node.left)
            node.comparators = [_call(VALUE, each) for each in node.comparators]
        return node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        node.left, node.right = _operand(node.left), _operand(node.right)
        return node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        node.operand = _call(VALUE, node.operand) if isinstance(node.op, ast.Not) else _operand(node.operand)
        return node

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        node.values = [_call(VALUE, each) for each in node.values]
        return node

    def visit_Assert(self, node):
        self.generic_visit(node)
        node.test = _call(VALUE, node.test)
        return node

    def visit_If(self, node):
        self.generic_visit(node)
        node.test = _call(VALUE, node.test)
        return node

    visit_IfExp = visit_While = visit_If

    def visit_For(self, node):
        self.generic_visit(node)
        node.iter = _call(EACH, node.iter)
        return node

    visit_comprehension = visit_For


def _call(name: str, node: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name(name, ast.Load()), node), [node], []), node)


def _operand(node: ast.expr) -> ast.expr:
    return _call(PLAIN, node) if isinstance(node, ast.Name) else node


def compile_test(source: str, file: str):
    """Return a test's code with guards around its values."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, file, "exec", flags=flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    return compile(ast.fix_missing_locations(_Guards().visit(tree)), file, "exec", flags=flags, dont_inherit=True)


def known_types() -> frozenset[type]:
    """Return all classes that there are: those that come later are an answer's, or a library's that it loads."""
    found, level = {object}, [object]
    while level:
        level = [kind for parent in level for kind in type.__subclasses__(parent) if kind not in found]
        found.update(level)
    return frozenset(found)


def guards(known: frozenset[type]) -> dict[str, object]:
    """Return the guards by the names under which compiled tests call them."""
    torch, numpy = sys.modules["torch"], sys.modules["numpy"]
    containers = frozenset((tuple, list, dict))
    simple = known - containers
    mro = type.__dict__["__mro__"].__get__
    tensor, array, no_override = torch.Tensor, numpy.ndarray, torch._C.DisableTorchFunction
    as_tensor, as_array = torch.Tensor.as_subclass, numpy.ndarray.view

    def bare_tensor(x):
        with no_override():
            return as_tensor(x, tensor)

    bases = (
        (int, int.__int__), (float, float.__float__), (complex, complex.__complex__), (str, str.__str__),
        (bytes, lambda x: bytes.__getitem__(x, slice(None))),
        (tuple, lambda x: tuple.__getitem__(x, slice(None))),
        (list, lambda x: list.__getitem__(x, slice(None))),
        (dict, lambda x: dict(dict.items(x))),
        (set, lambda x: set.__or__(x, set())), (frozenset, lambda x: frozenset.__or__(x, frozenset())),
        (tensor, bare_tensor), (array, lambda x: as_array(x, array)),
    )  # fmt: skip

    def own_methods(kind, names):
        """Return which of these methods a class has from an answer, not from a library."""
        found = []
        for each in mro(kind):
            if each in known:
                continue
            space = type.__dict__["__dict__"].__get__(each)
            for name in names:
                method = space.get(name)
                code = getattr(getattr(method, "__func__", method), "__code__", None)
                if method is not None and not (code and code.co_filename.startswith(LIBRARIES)):
                    found.append(name)
        return found

    def plain(x):
        kind = type(x)
        if kind in simple:
            return x
        if kind in containers:
            return inside(x, kind, plain)
        for base, bare in bases:
            if base in mro(kind):
                return plain(bare(x))
        if own_methods(kind, ANSWERS):
            raise AssertionError(
                f"the answer gives a {kind.__name__}, a class of its own that answers in the place of torch's or "
                "NumPy's functions; give a plain tensor"
            )
        return x

    def value(x):
        x = plain(x)
        kind = type(x)
        if kind in simple:
            return x
        if kind in containers:
            return inside(x, kind, value)
        if own_methods(kind, DECIDES):
            raise AssertionError(
                f"the answer gives a {kind.__name__}, a class of its own that decides itself what it equals; "
                "give a plain number, text, tuple or tensor"
            )
        return x

    def inside(x, kind, guard):
        if kind is dict:
            made = {guard(key): guard(item) for key, item in x.items()}
            return x if all(made.get(key) is item for key, item in x.items()) else made
        if all(type(item) in simple for item in x):
            return x
        made = [guard(item) for item in x]
        same = all(new is old for new, old in zip(made, x, strict=True))
        return x if same else kind(made)

    def each(x):
        x = plain(x)
        return x if type(x) in containers else map(plain, x)

    return {PLAIN: plain, VALUE: value, EACH: each}
