"""Imports go one way, torch is imported only where it is needed, and nothing is larger than can be read at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "camviz"

# a module may import from its own room, and from the rooms of the lines above it
FLOORS = [
    ["camviz.errors"],
    ["camviz.registry"],
    ["camviz.types"],
    ["camviz.demo", "camviz.hooks", "camviz.render"],
    ["camviz.io"],
    ["camviz.tasks"],
    ["camviz.models"],
    ["camviz.methods"],
    ["camviz.engine"],
    ["camviz.comparison", "camviz.feature_maps", "camviz.metrics", "camviz.misclassified"],
    ["camviz.doctor"],
    ["camviz.run"],
    ["camviz.cli"],
    ["camviz.__main__"],
]
LINES, LONGEST = 400, 50  # of a file, of a function
SMALL = 30  # lines of a module that needs no test file of its name
# tested by the files of the modules that use them
TESTED_ELSEWHERE = {
    "camviz.demo.model",
    "camviz.engine.cells",
    "camviz.engine.probe",
    "camviz.feature_maps.patch_figures",
    "camviz.feature_maps.visualization.concept_figures",
    "camviz.hooks.operations",
    "camviz.methods.factorization",
    "camviz.metrics.measured",
    "camviz.metrics.source",
    "camviz.models.attention_windows",
    "camviz.models.box_layers",
    "camviz.models.cautions",
    "camviz.models.checkpoint.exported",
    "camviz.models.checkpoint.inert",
    "camviz.models.checkpoint.operators",
    "camviz.models.checkpoint.script_code",
    "camviz.models.default_layer",
    "camviz.models.endings",
    "camviz.models.failures",
    "camviz.models.measured_view",
    "camviz.models.sources.demo",
    "camviz.render.strip",
    "camviz.run.compare",
    "camviz.run.concepts",
    "camviz.run.context",
    "camviz.run.database.opening",
    "camviz.run.database.rows",
    "camviz.run.database.typed",
    "camviz.run.evaluate",
    "camviz.run.feature_references",
    "camviz.run.feature_spool",
    "camviz.run.features",
    "camviz.run.heatmap",
    "camviz.run.job",
    "camviz.run.listing",
    "camviz.run.misclassified",
    "camviz.run.output.map_files",
    "camviz.run.output.written",
    "camviz.run.reading",
    "camviz.run.reconstruct",
    "camviz.run.replicas",
    "camviz.run.settings",
    "camviz.run.video_frames",
    "camviz.tasks.boxes",
}


def room(module: str) -> tuple[int, str]:
    """The number of the line that a module is on, and its room there; the longest name decides."""
    fitting = [
        (len(name), number, name) for number, names in enumerate(FLOORS) for name in names if within(module, name)
    ]
    assert fitting, f"{module} has no line in FLOORS"
    return max(fitting)[1:]


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
            wholes = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(whole if whole in known else node.module for whole in wholes)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    known = set(modules())
    visit(ast.parse(path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("module", modules())
def test_imports_go_one_way(module):
    number, own = room(module)
    for other in imported(module):
        if within(other, "camviz") and other != "camviz":
            below, there = room(other)
            assert below < number or there == own, f"{module} imports {other}, which is not below it"


def test_no_file_imports_what_imports_it():
    left = {module: imported(module) for module in modules()}
    while ground := [module for module, others in left.items() if not others & left.keys()]:
        for module in ground:
            del left[module]
    while above := [module for module in left if not any(module in others for others in left.values())]:
        for module in above:
            del left[module]
    assert not left, f"these import each other: {', '.join(left)}"


@pytest.mark.parametrize("module", [m for m in modules() if within(m, "camviz.render")])
def test_rendering_never_sees_torch(module):
    assert not any(within(other, "torch") or within(other, "torchvision") for other in imported(module))


@pytest.mark.parametrize("module", [m for m in modules() if within(m, "camviz.methods") or within(m, "camviz.metrics")])
def test_methods_and_metrics_import_torch_only_inside_functions(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *Path(__file__).parent.rglob("*.py")])


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_a_file_is_short_and_says_what_it_is(path):
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= LINES
    assert ast.get_docstring(tree), "no docstring"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < LONGEST, f"{node.name} has more than {LONGEST} lines"


@pytest.mark.parametrize("module", modules())
def test_a_module_has_a_test_file_of_its_name(module):
    """`render/bar.py` has `tests/render/test_bar.py`, `render/__init__.py` has `tests/render/test_render.py`."""
    path = PACKAGE.parent / (module.replace(".", "/") + ".py")
    folder = path.parent if path.exists() else path.with_suffix("")
    path = path if path.exists() else folder / "__init__.py"
    tests = Path(__file__).parent / folder.relative_to(PACKAGE)
    mirrored = (tests / f"test_{module.rpartition('.')[2]}.py").exists()
    needed = len(path.read_text("utf-8").splitlines()) > SMALL
    if module in TESTED_ELSEWHERE:
        assert needed, "small again: leave it out of TESTED_ELSEWHERE"
        assert not mirrored, "it has a test file: leave it out of TESTED_ELSEWHERE"
    else:
        name = f"{tests.relative_to(PACKAGE.parent)}/test_{module.rpartition('.')[2]}.py"
        assert mirrored or not needed, f"{name} is missing; if others test the module, name it in TESTED_ELSEWHERE"
