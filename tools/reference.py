"""Write docs/api.md: the public names, from their docstrings.

Usage: reference.py [FILE]

What is in Python is read from its source, so that no extra needs to be installed; what is in C is
asked of the compiled module.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "interp_executor"
HEAD = """\
# Reference

Made from the docstrings by `make docs`. What is not here is private.
"""
# What the functions return and take, beside what they themselves are.
MORE = {
    "interp_executor": {
        "_compare.figures": ["Comparison", "Figures", "Spread"],
        "_compare.race": ["FunctionError"],
        "_compare.drawing": ["DrawingError"],
    }
}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Entry(NamedTuple):
    """One name: its heading and its docstring."""

    level: int
    heading: str
    text: str


def main(path: str = "docs/api.md") -> None:
    """Write the reference to a file."""
    (ROOT / path).write_text(reference(), encoding="utf-8")


def reference() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for module in public_modules():
        parts += [f"## `{entry.heading}`\n" if entry.level == 2 else _section(entry)
                  for entry in _entries(module)]  # fmt: skip
    return "\n".join(parts)


def public_modules() -> list[str]:
    """Return the names of the modules that users import, the package itself first."""
    names = ["interp_executor"]
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def _entries(module: str) -> Iterator[Entry]:
    path = _path_of(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield Entry(2, module, "")
    yield Entry(0, "", ast.get_docstring(tree) or "")
    if module == "interp_executor":
        yield from _package_entries(tree)
        return
    wanted = _assigned(tree, "__all__")
    for node in tree.body:
        if isinstance(node, Definition) and _is_public(node.name, wanted):
            yield from _described(node, f"{module}.{node.name}")


def _package_entries(tree: ast.Module) -> Iterator[Entry]:
    homes = _assigned(tree, "_HOMES")
    assert isinstance(homes, dict)
    places = dict(homes)
    for module, names in MORE["interp_executor"].items():
        places |= dict.fromkeys(names, module)
    for name in sorted(places, key=str.lower):
        if places[name] == "_native":
            yield from _native_entries(name)
            continue
        home = ast.parse(_path_of(f"interp_executor.{places[name]}").read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(home) if isinstance(node, Definition)]
        node = next(node for node in nodes if node.name == name)
        prefix = "interp_executor." if name in homes else ""
        yield from _described(node, prefix + name)
        if name == "InterpreterPoolExecutor":
            yield from _inherited_entries()


def _inherited_entries() -> Iterator[Entry]:
    """What the C core adds to the executor: submit(), and the futures it returns."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as executor:
        future = type(executor.submit(int))
    yield _native_entry(InterpreterPoolExecutor.submit, 4, "InterpreterPoolExecutor.submit")
    yield Entry(3, "Future", future.__doc__ or "")
    yield from _members(future)


def _native_entries(name: str) -> Iterator[Entry]:
    import interp_executor

    found = getattr(interp_executor, name)
    yield _native_entry(found, 3, f"interp_executor.{name}")
    if isinstance(found, type):
        yield from _members(found)


def _members(found: type) -> Iterator[Entry]:
    for name, member in sorted(vars(found).items()):
        if not name.startswith("_") and getattr(member, "__doc__", None):
            yield _native_entry(member, 4, f"{found.__name__}.{name}")


def _native_entry(member: object, level: int, name: str) -> Entry:
    signature = getattr(member, "__text_signature__", None)
    if signature is None:
        signature = "(...)" if callable(member) else ""
    shown = re.sub(r"^\(\$(self|type)(, /)?(, )?", "(", signature)
    return Entry(level, f"{name}{shown}", inspect.getdoc(member) or "")


def _described(node: Definition, name: str) -> Iterator[Entry]:
    if not isinstance(node, ast.ClassDef):
        yield Entry(3, f"{name}{_signature(node)}", ast.get_docstring(node) or "")
        return
    methods = {each.name: each for each in node.body if isinstance(each, Definition)}
    init = methods.get("__init__") or methods.get("__call__")
    taken = _signature(init, method=True) if isinstance(init, ast.FunctionDef) else ""
    yield Entry(3, f"{name}{taken}", ast.get_docstring(node) or "")
    for method in methods.values():
        text = ast.get_docstring(method) or ""
        if method.name.startswith("_") or not text or isinstance(method, ast.ClassDef):
            continue
        kind = {ast.unparse(each) for each in method.decorator_list}
        plain = "property" in kind
        shown = "" if plain else _signature(method, method="staticmethod" not in kind)
        yield Entry(4, f"{node.name}.{method.name}{shown}", text)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool = False) -> str:
    """Return the parameters and their defaults; the types are in the docstring."""
    bare = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(bare, ast.FunctionDef | ast.AsyncFunctionDef)
    taken = bare.args
    for each in [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]:
        if each is not None:
            each.annotation = None
    text = ast.unparse(taken)
    return f"({re.sub(r'^(self|cls)(, /)?(, )?', '', text) if method else text})"


def _section(entry: Entry) -> str:
    text = markdown(entry.text)
    return f"{'#' * entry.level} `{entry.heading}`\n\n{text}" if entry.level else text


def markdown(text: str) -> str:
    """Turn a numpydoc docstring into Markdown."""
    lines = text.replace("``", "`").splitlines()
    out: list[str] = []
    in_section = False
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if line and set(line) == {"-"}:
            continue
        if line and below and set(below) == {"-"}:
            in_section = True
            out += [f"**{line}**", ""]
        elif in_section and line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            out.append(f"- `{name}`" + (f" : {kind}" if kind else ""))
        elif in_section:
            out.append(f"  {line.strip()}".rstrip())
        else:
            out.append(_inline(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(_inline, out))).strip() + "\n"


def _inline(line: str) -> str:
    """Turn references such as :func:`name` into code."""
    return re.sub(r":\w+:`", "`", line)


def _assigned(tree: ast.Module, name: str) -> object:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return None


def _is_public(name: str, wanted: object) -> bool:
    return name in wanted if isinstance(wanted, list | tuple) else not name.startswith("_")


def _path_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
