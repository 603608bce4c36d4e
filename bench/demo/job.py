"""The job: read one Python file, tokenise it, parse it, and measure it.

Every worker imports this module, so it imports nothing beyond what the work needs.
"""

import ast
import io
import tokenize
from typing import NamedTuple

MEASURED = "measured"
BAD_ENCODING = "bad encoding"
BAD_SYNTAX = "bad syntax"


class Measure(NamedTuple):
    """What one file measures; all but ``path``, ``status`` and ``lines`` is 0 if it cannot be read.

    ``code_lines``: lines that hold a token other than a comment. ``functions``: ``def`` and
    ``async def``. ``nesting``: blocks within blocks, 0 where there are none. ``complexity``:
    McCabe's number (1 + the decisions) of the module body and of each function, added up.
    ``hardest``: the function with the highest number, with the classes and functions around it.
    """

    path: str
    status: str
    lines: int
    code_lines: int = 0
    functions: int = 0
    classes: int = 0
    nesting: int = 0
    complexity: int = 0
    hardest: str = ""
    hardest_complexity: int = 0


def measure_file(path: str) -> Measure:
    """Measure the Python file at *path*. A file that Python itself refuses is counted as such."""
    with open(path, "rb") as file:
        return measure_source(file.read(), path)


def measure_source(source: bytes, path: str = "") -> Measure:
    """Measure a file's bytes."""
    lines = len(source.splitlines())
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return Measure(path, BAD_ENCODING, lines)
    try:
        code_lines = count_code_lines(text)
        tree = ast.parse(source)
    except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError):
        return Measure(path, BAD_SYNTAX, lines)
    shape = _Shape(tree)
    hardest, hardest_complexity = shape.hardest()
    return Measure(
        path,
        MEASURED,
        lines,
        code_lines,
        shape.functions,
        shape.classes,
        shape.nesting,
        sum(shape.complexities),
        hardest,
        hardest_complexity,
    )


_NOT_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)


def count_code_lines(text: str) -> int:
    """Count the lines that hold code; each line of a string over several lines counts."""
    count = last = 0
    for kind, _, (first, _), (end, _), _ in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind not in _NOT_CODE and end > last:
            count += end - max(first - 1, last)
            last = end
    return count


_FUNCTIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})
_BLOCKS = _FUNCTIONS | {
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
}
_DECISIONS = frozenset({ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler})
_LEAVES = frozenset({ast.Name, ast.Constant, ast.alias, ast.Load, ast.Store, ast.Del, ast.Pass})


class _Shape:
    """What the syntax tree says, gathered in one walk without recursion."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = self.classes = self.nesting = 0
        self.names = [""]  # the module body, then each function
        self.complexities = [1]
        self._walk(tree)

    def hardest(self) -> tuple[str, int]:
        """Return the name and number of the most complex function, the first by name of several."""
        if not self.functions:
            return "", 0
        ranked = zip(self.complexities[1:], self.names[1:], strict=True)
        number, name = min(ranked, key=lambda pair: (-pair[0], pair[1]))
        return name, number

    def _walk(self, tree: ast.Module) -> None:
        # Each entry: a node, the blocks around it, the function it belongs to, the names around it.
        stack: list[tuple[ast.AST, int, int, str]] = [(tree, 0, 0, "")]
        while stack:
            node, depth, owner, prefix = stack.pop()
            if type(node) in _BLOCKS:
                depth += 1
                self.nesting = max(self.nesting, depth)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    owner = self._enter(node, owner, prefix + node.name)
                    prefix = f"{prefix}{node.name}."
            self.complexities[owner] += _decisions(node)
            beside = _elif(node)
            stack += [
                (child, depth - (child is beside), owner, prefix) for child in _children(node)
            ]

    def _enter(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, owner: int, name: str
    ) -> int:
        """Count a function or class; return the function that its body belongs to."""
        if isinstance(node, ast.ClassDef):
            self.classes += 1
            return owner
        self.functions += 1
        self.names.append(name)
        self.complexities.append(1)
        return self.functions


def _children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right below one: ast.iter_child_nodes without leaves, in half the time."""
    children: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            children += [
                item for item in value if isinstance(item, ast.AST) and type(item) not in _LEAVES
            ]
        elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
            children.append(value)
    return children


def _decisions(node: ast.AST) -> int:
    """Count the decisions that a node takes by itself, without its children."""
    if type(node) in _DECISIONS:
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        catches_all = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
        return 0 if catches_all and node.guard is None else 1
    return 0


def _elif(node: ast.AST) -> ast.If | None:
    """Return the elif that follows an if. In the tree only its column sets it apart."""
    if isinstance(node, ast.If) and len(node.orelse) == 1:
        other = node.orelse[0]
        if isinstance(other, ast.If) and other.col_offset == node.col_offset:
            return other
    return None
