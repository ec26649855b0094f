"""Run a user's Python file the way its project runs it, and leave the interpreter as it was.

While the file is imported and its model is built, the project's folders are on `sys.path` and `sys.argv` holds the file
alone. Afterwards the modules of the project are taken out of `sys.modules` again, so that the next file gets its own.
Functions of the project import later as they would have then: its modules get an `__import__` of their own.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.util
import io
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from camviz.errors import ModelError

_KEPT = {"camviz", "torch", "torchvision", "numpy", "PIL", "cv2", "timm", "transformers", "__main__"}


@contextlib.contextmanager
def project(path: Path) -> Iterator[None]:
    """Within the block, imports work as in the file's project; afterwards path, arguments and modules are restored."""
    with _Project(path).running():
        yield


class _Project:
    """The project of a file: its folders, and its modules once they are imported."""

    def __init__(self, path: Path) -> None:
        self.path, self.folders = path, _folders(path)
        self.modules: dict[str, ModuleType] = {}
        self.hidden: list[str] | None = None
        self.builtins = {**vars(builtins), "__import__": self._import}
        self._depth, self._lock = 0, threading.RLock()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Within the block imports find the project's modules, those that it has imported before first."""
        with self._lock:
            modules, search, words = dict(sys.modules), list(sys.path), list(sys.argv)
            if self.hidden is None:
                self.hidden = _hidden(self.folders)
            for name in self.hidden:
                sys.modules.pop(name, None)
            sys.modules.update(self.modules)
            sys.path[:0] = self.folders
            sys.argv[:] = [str(self.path)]
            sys.meta_path.insert(0, self)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                sys.meta_path.remove(self)
                sys.argv[:], sys.path[:] = words, search
                mine = {name: module for name, module in sys.modules.items() if self._owns(name, module, modules)}
                self.modules |= mine
                for name in mine:
                    del sys.modules[name]
                sys.modules.update(modules)

    def _owns(self, name: str, module: Any, before: Mapping[str, ModuleType]) -> bool:
        return module is not before.get(name) and (name in self.modules or _inside(module, self.folders))

    def _import(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Import as the project does, also after it was built."""
        top = name.partition(".")[0]
        foreign = top in sys.modules and top not in self.modules and top not in (self.hidden or ())
        if self._depth or foreign:
            return builtins.__import__(name, *arguments, **options)
        with self.running():
            return builtins.__import__(name, *arguments, **options)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find a module of the project, as Python's own finder does, but let it import later through `_import`."""
        spec = PathFinder.find_spec(name, path, target)
        file = spec.origin if spec else None
        if spec and file and type(spec.loader) is SourceFileLoader and _within(file, self.folders):
            spec.loader = _Loader(name, file, self)
            return spec
        return None


class _Loader(SourceFileLoader):
    def __init__(self, name: str, file: str, project: _Project) -> None:
        super().__init__(name, file)
        self.project = project

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self.project.builtins
        super().exec_module(module)


@contextlib.contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Within the block, turn whatever the user's code raises into a `ModelError`, and keep its prints off stdout."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(sys.stderr), contextlib.redirect_stderr(printed):
            yield
    except SystemExit as error:
        lines = [line.strip() for line in printed.getvalue().splitlines() if line.strip()]
        printed = io.StringIO()
        raise ModelError(
            f"{what} ended Python ({lines[-1][:160] if lines else f'exit {error.code}'})",
            f"put what reads a command line or exits under 'if __name__ == \"__main__\":' in {path}",
        ) from error
    except Exception as error:
        raise ModelError(f"{what} failed: {type(error).__name__}: {error}", _hint(path, error)) from error
    finally:
        sys.stderr.write(printed.getvalue())


def _hint(path: Path, error: Exception) -> str:
    if isinstance(error, TypeError) and "argument" in str(error):
        return "--model-args key=value gives it arguments"
    if isinstance(error, ModuleNotFoundError):
        return f"run camviz in the folder from which 'import {error.name}' works, or install it"
    return f"python {path} shows where"


def import_file(path: Path) -> ModuleType:
    """Import the file inside `project`: as part of its package where `__init__.py` makes one, else by its name."""
    package = _package(path)
    if not package:
        return _execute(path, _free_name(path.stem))
    try:
        importlib.import_module(package)
    except Exception:
        if _relative(path):
            raise
        return _execute(path, _free_name(path.stem))  # the package does not work by itself, the file may
    name = f"{package}.{path.stem}"
    return sys.modules[name] if name in sys.modules else _execute(path, name)


def _execute(path: Path, name: str) -> ModuleType:
    runs = next((finder for finder in sys.meta_path if isinstance(finder, _Project)), None)
    loader = _Loader(name, str(path), runs) if runs else None
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _package(path: Path) -> str:
    """The dotted package that the file is in; "" without an `__init__.py`."""
    names = []
    folder = path.resolve().parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(names))


def _free_name(stem: str) -> str:
    """The name under which other files of the project import it, unless Python or a library has that name."""
    taken = not stem.isidentifier() or stem in sys.stdlib_module_names or stem in _KEPT or stem in sys.modules
    return f"camviz_user_{stem}" if taken else stem


def _relative(path: Path) -> bool:
    tree = ast.parse(path.read_bytes())
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


def _folders(path: Path) -> list[str]:
    """What is on the path in the file's project: the root of its package, its own folder, the working folder."""
    folder = path.resolve().parent
    depth = len(_package(path).split(".")) if _package(path) else 0
    root = folder.parents[depth - 1] if depth else folder
    return list(dict.fromkeys(map(str, (root, folder, Path.cwd()))))


def _hidden(folders: list[str]) -> list[str]:
    """Loaded modules that the project has under the same name elsewhere: its own must be imported instead."""
    hidden = set()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in _KEPT or top in hidden:
            continue
        file = _first(top, folders) if name == top else None
        if file and getattr(module, "__file__", None) != file:
            hidden.add(top)
    return [name for name in sys.modules if name.partition(".")[0] in hidden]


def _first(name: str, folders: list[str]) -> str | None:
    """The file that 'import NAME' finds in the folders."""
    candidates = (Path(folder, *end) for folder in folders for end in ((name, "__init__.py"), (f"{name}.py",)))
    return next((str(path) for path in candidates if path.is_file()), None)


def _inside(module: Any, folders: list[str]) -> bool:
    """Whether a module's file is in one of the folders, and not in an environment inside them."""
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return isinstance(file, str) and _within(file, folders)


def _within(file: str, folders: list[str]) -> bool:
    """Return whether a file is in one of the folders, and not in an environment inside them."""
    return "site-packages" not in file and any(Path(file).is_relative_to(folder) for folder in folders)
