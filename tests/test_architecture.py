"""Imports go one way, and torch is imported only where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "camviz"

# a module may import from its own line and the lines above it
FLOORS = [
    ["camviz.errors", "camviz.registry", "camviz.types"],
    ["camviz.places", "camviz.videos", "camviz.pictures", "camviz.demo", "camviz.render", "camviz.comparison.numbers"],
    ["camviz.engine.capture", "camviz.engine.devices"],
    ["camviz.tasks"],
    ["camviz.models"],
    ["camviz.methods", "camviz.engine", "camviz.features", "camviz.metrics"],
    ["camviz.doctor", "camviz.comparison", "camviz.mistakes"],
    ["camviz.run"],
    ["camviz.cli"],
    ["camviz.__main__"],
]
DOORS = {("camviz.types", "camviz.render")}  # SaliencyMap.overlay(), for notebooks


def floor(module: str) -> int:
    """The number of the line that a module is on; the longest name decides."""
    fitting = [(len(name), number) for number, names in enumerate(FLOORS) for name in names if within(module, name)]
    return max(fitting)[1]


def within(module: str, name: str) -> bool:
    return module == name or module.startswith(name + ".")


def modules() -> list[str]:
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if name != "camviz.__init__"]


def imported(module: str) -> set[str]:
    """Every camviz module that `module` imports while it runs, also inside functions."""
    path = PACKAGE.parent / (module.replace(".", "/") + ".py")
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    found = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(
                f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in known
            )
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    known = set(modules())
    visit(ast.parse(path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_go_one_way(module):
    for other in imported(module):
        door = any(within(module, here) and within(other, there) for here, there in DOORS)
        if within(other, "camviz") and other != "camviz" and not door:
            assert floor(other) <= floor(module), f"{module} imports {other}, which is above it"


@pytest.mark.parametrize("module", [m for m in modules() if within(m, "camviz.render")])
def test_rendering_never_sees_torch(module):
    assert not any(within(other, "torch") or within(other, "torchvision") for other in imported(module))


@pytest.mark.parametrize("module", [m for m in modules() if within(m, "camviz.methods") or within(m, "camviz.metrics")])
def test_methods_and_metrics_import_torch_only_inside_functions(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
