"""What Markdown pages, which are written for a code host, need on the site.

* A page that is nothing but a link to a file above shows that file here: CHANGELOG.md has its place
  at the top of the repository.
* A link to an example of the gallery leads to its page.
* A link to a file of the repository that is no page becomes the file's name: the site has no copy
  of the sources.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

_STANDS_FOR = re.compile(r"\A(?:# .*\n\n)?\[[^\]]+\]\(\.\./([\w.]+\.md)\)\s*\Z")
_EXAMPLE = re.compile(r"\[([^\]]+)\]\(\.\./examples/gallery/(\w+/\w+)\.py\)")


def shown_instead() -> dict[str, str]:
    """Return which files above are shown by which pages: ``{"CHANGELOG.md": "changelog"}``."""
    texts = {page.stem: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    found = {page: _STANDS_FOR.match(text) for page, text in texts.items()}
    return {match[1]: page for page, match in found.items() if match}


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Put files from above in their pages, and lead links to them there."""
    for file, stands in shown_instead().items():
        if page == stands:
            source[0] = (ROOT / file).read_text(encoding="utf-8").replace("](docs/", "](")
        elif "/" not in page:
            source[0] = source[0].replace(f"](../{file})", f"]({stands}.md)")
    source[0] = _EXAMPLE.sub(_page_of, source[0])


def _page_of(link: re.Match[str]) -> str:
    """Return the link to an example's page."""
    return f"[{link[1]}](gallery/{link[2]}.rst)"


class LinksToSources(SphinxTransform):
    """Turn links to files outside of the site into text."""

    default_priority = 5  # before references are looked up

    def apply(self, **kwargs: object) -> None:
        """Look at all links of a page."""
        place = Path(self.env.doc2path(self.env.docname)).parent
        for kind in (pending_xref, download_reference):
            for link in list(self.document.findall(kind)):
                target = unquote(link.get("reftarget", "")).split("#")[0]
                if "/" in target and _is_source((place / target).resolve()):
                    link.replace_self(nodes.inline("", "", *link.children))


def _is_source(file: Path) -> bool:
    """Tell whether a target is a file beside the documents; those in Markdown come without .md."""
    there = file.is_file() or file.with_name(f"{file.name}.md").is_file()
    return there and file.is_relative_to(ROOT) and not file.is_relative_to(DOCS)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transformation."""
    app.connect("source-read", read)
    app.add_transform(LinksToSources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
