"""README and docs as tests read them: pages, command lines, blocks of Python, links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAIRS = [  # an English page and the Chinese one of the same content
    ("README.md", "README.zh-CN.md"),
    ("docs/getting-started.md", "docs/zh/getting-started.md"),
]


def name(path: Path) -> str:
    """Return the path below the repository."""
    return path.relative_to(ROOT).as_posix()


def text(page: Path | str) -> str:
    """Return a page, with the files that it includes in the place of their names."""
    path = ROOT / page
    included = re.compile(r'^--8<-- "(.*)"$', re.MULTILINE)
    return included.sub(lambda found: text(found[1]), path.read_text("utf-8"))


def command_lines(page: Path | str) -> list[str]:
    """Return what a page says to type: its blocks for a shell, and the cells of tables that are a command."""
    content = text(page)
    blocks = re.findall(r"```sh\n(.*?)```", content, re.DOTALL)
    typed = [re.sub(r"(^|\s)#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    typed += re.findall(r"^\| `(camviz .*?)` \|", content, re.MULTILINE)
    return [line for line in dict.fromkeys(typed) if line]


def all_lines() -> list[str]:
    """Return the lines of README and docs, each once; CONTRIBUTING's, which add files first, are tested elsewhere."""
    pages = [page for page in PAGES if page.name != "contributing.md"]
    return list(dict.fromkeys(line for page in pages for line in command_lines(page)))


def python_blocks(page: Path | str) -> list[str]:
    """Return a page's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)


def links(page: Path) -> list[str]:
    """Return the files and anchors that a page of Markdown links to, but for addresses on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL))
    return [link for link in found if not re.match(r"https?:|mailto:", link)]
