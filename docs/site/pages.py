"""Copies the Markdown pages of the repository into one tree, with links that hold there."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")


def site_pages() -> dict[Path, Path]:
    """Returns the page of the site for each Markdown file of the repository, relative to the tree of pages."""
    docs = ROOT / "docs"
    pages = {file: file.relative_to(docs) for file in sorted(docs.rglob("*.md"))}
    pages[docs / "README.md"] = Path("pages.md")
    pages[ROOT / "README.md"] = Path("overview.md")
    pages[ROOT / "CHANGELOG.md"] = Path("changelog.md")
    for file in sorted((ROOT / "examples").glob("*/README.md")):
        pages[file] = Path("examples", f"{file.parent.name}.md")
    return pages


def copy_pages(target: Path) -> None:
    """Writes all pages below `target`."""
    pages = site_pages()
    for file, page in pages.items():
        path = target / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(move_links(file.read_text(encoding="utf-8"), file, pages), encoding="utf-8")


def move_links(text: str, file: Path, pages: dict[Path, Path]) -> str:
    """Returns the text of a page with its links to other pages moved; a link to another file becomes text."""

    def move(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        linked = (file.parent / target).resolve()
        page = pages.get(linked) or pages.get(linked / "README.md")
        if linked == ROOT / "docs" / "decisions":
            page = Path("decisions", "0001-how-we-record-decisions.md")
        if page is None:
            return match["text"]
        moved = os.path.relpath(page, pages[file].parent)
        return f"[{match['text']}]({moved}{'#' + anchor if anchor else ''})"

    return "".join(
        part if is_code else _LINK.sub(move, part) for part, is_code in _split_code(text)
    )


def _split_code(text: str) -> list[tuple[str, bool]]:
    """Returns the parts of a page, and whether each is a fenced block of code."""
    parts = re.split(r"(^ *```.*?^ *```[^\n]*$)", text, flags=re.MULTILINE | re.DOTALL)
    return [(part, number % 2 == 1) for number, part in enumerate(parts)]
