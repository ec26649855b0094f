"""Load a model from a class or function in a Python file."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

from camviz.errors import ModelError, RequestError, unknown
from camviz.io.texts import read_contents, reason_of
from camviz.models.sources import SOURCES, Plan, check_weights, literal
from camviz.types import Model, ModelRequest

_PREFERRED = ("build", "build_model", "create_model", "get_model", "model")


@SOURCES.add("py", offers="FILE.py:NAME, a class, a function or a model in it")
def python_file(name: str, request: ModelRequest) -> Plan:
    """A class or function of a Python file, called without arguments but those of --model-args."""
    path, attribute = _file_of(name), name.partition(".py:")[2]
    if not path.is_file():
        raise RequestError(f"no file '{path}'", "--model net.py:Net names a class or a function in a Python file")
    check_weights(request, f"'{path}'", "--weights FILE or --checkpoint FILE, a file that exists")
    names, complete = _top_level_names(path)
    if attribute and complete and attribute not in names:
        raise unknown("name", attribute, names, str(path))
    if not attribute:
        attribute = _only_candidate(path, names)
    shown = f"{path.stem}:{attribute}"
    return Plan(shown, lambda: _build(path, attribute, dict(request.arguments)))


def classes_of(name: str) -> Callable[[str], Any]:
    """Return a function from a class's name to the class in FILE.py:NAME, None for others; it imports the file."""
    path = _file_of(name)
    namespace: dict[str, Any] = {}

    def find(wanted: str) -> Any:
        from camviz.models.sources.user_code import explained, import_file, project

        if not namespace:
            with project(path), explained(path, f"importing '{path}'"):
                namespace.update(vars(import_file(path)))
        return namespace.get(wanted)

    return find


def _file_of(name: str) -> Path:
    path_text, _, attribute = name.partition(".py:")
    return Path(path_text + ".py" if attribute else name)


def parameters_of(name: str) -> set[str]:
    """Return the arguments that FILE.py:NAME takes, read without running it; empty when that is not possible."""
    path, attribute = _file_of(name), name.partition(".py:")[2]
    names, _ = _top_level_names(path)
    definition: ast.stmt | None = names.get(attribute or _only_candidate(path, names))
    if isinstance(definition, ast.ClassDef):
        definition = next(
            (node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None
        )
    if not isinstance(definition, ast.FunctionDef):
        return set()
    return {argument.arg for argument in (*definition.args.args, *definition.args.kwonlyargs)} - {"self"}


def _top_level_names(path: Path) -> tuple[dict[str, ast.stmt], bool]:
    """The names that a file defines, without running it, and whether that is all of them."""
    try:
        tree = ast.parse(read_contents(path, "Python file", "--model FILE.py:NAME"), str(path))
    except SyntaxError as error:
        raise RequestError(
            f"'{path}' is not valid Python: {error.msg}, line {error.lineno}", f"python {path} shows where"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; brackets in brackets
        raise RequestError(f"'{path}' is not valid Python: {reason_of(error)}", f"python {path} shows where") from error
    names: dict[str, ast.stmt] = {}
    complete = True
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            names[statement.name] = statement
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            aliases = [alias.asname or alias.name for alias in statement.names]
            complete = complete and "*" not in aliases
            names.update(dict.fromkeys(aliases, statement))
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names.update({t.id: statement for t in targets if isinstance(t, ast.Name)})
        elif not isinstance(statement, ast.Expr):
            complete = False  # an `if` or a `try` may define more
    return names, complete


def _only_candidate(path: Path, names: dict[str, ast.stmt]) -> str:
    for preferred in _PREFERRED:
        if preferred in names:
            return preferred
    classes = [name for name, statement in names.items() if isinstance(statement, ast.ClassDef)]
    if len(classes) == 1:
        return classes[0]
    what = f"has {len(classes)} classes" if classes else "has no class"
    example = classes[-1] if classes else "build"
    raise RequestError(f"'{path}' {what}: which one is the model?", f"--model {path}:{example}")


def _build(path: Path, attribute: str, arguments: dict[str, str]) -> Model:
    from torch import nn

    from camviz.models.sources.user_code import explained, import_file, project

    with project(path):
        with explained(path, f"importing '{path}'"):
            namespace = vars(import_file(path))
        if attribute not in namespace:
            raise unknown("name", attribute, [name for name in namespace if not name.startswith("_")], str(path))
        module = namespace[attribute]
        if not isinstance(module, nn.Module):
            with explained(path, f"'{attribute}' of '{path}'"):
                module = module(**{key: literal(text) for key, text in arguments.items()})
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"'{attribute}' of '{path}' gave a {type(module).__name__}, not a torch.nn.Module",
            f"--model {path}:NAME names a class, or a function that returns a model",
        )
    from camviz.models.sources.self_description import described

    return described(Model(f"{path.stem}:{attribute}", module), _says(namespace, path), str(path))


def _says(namespace: dict[str, Any], path: Path) -> dict[str, Any]:
    """The names of the file that describe its model; functions only where the file defines them itself."""
    names, _ = _top_level_names(path)
    imported = {name for name, node in names.items() if isinstance(node, (ast.Import, ast.ImportFrom))}
    return {name: namespace[name] for name in namespace if name not in imported}
