"""Look at the built site in a browser: no page is wider than its screen, and the search finds.

``python tools/look_at_site.py build/site`` needs Chromium (``apt-get install chromium``) and
nothing else. Every page is shown in frames as wide as a phone, a tablet and a desk's screen. What
sticks out on the right is named, and the exit code is 1. ``--pictures FOLDER SITE page...`` also
takes pictures.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WIDTHS = (390, 768, 1280)
FOUND_BY_SEARCH = ("reset", "mask", "gru")
SECONDS = 240

# Pages are of the same origin as this one, so that it may measure what is in its frames.
LOOKER = """<!doctype html><body><script>
async function shown(page, width) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.src = page;
  const loaded = new Promise(done => frame.onload = done);
  document.body.append(frame);
  await loaded;
  return frame;
}
// The theme lets the whole article scroll; on these pages only tables and programs may.
function widest(inside) {
  const article = inside.querySelector(".bd-article-container") || inside.body;
  const more = article.scrollWidth - article.clientWidth;
  return Math.max(inside.scrollingElement.scrollWidth, inside.documentElement.clientWidth + more);
}
function sticking_out(inside) {
  const article = inside.querySelector(".bd-article-container") || inside.body;
  const edge = article.getBoundingClientRect().right + 1, names = [];
  for (const one of inside.querySelectorAll("main *")) {
    if (one.getBoundingClientRect().right <= edge) continue;
    let holder = one.parentElement;
    while (holder && holder.tagName !== "ARTICLE"
           && !["auto", "scroll", "hidden"].includes(getComputedStyle(holder).overflowX))
      holder = holder.parentElement;
    if (!holder || holder.tagName === "ARTICLE")
      names.push(`${one.tagName} ${one.textContent.trim().slice(0, 50)}`);
  }
  return names.slice(0, 3);
}
(async () => {
  const found = [];
  for (const page of PAGES) for (const width of WIDTHS) {
    const frame = await shown(page, width), inside = frame.contentDocument;
    const wide = widest(inside);
    if (wide > width) found.push({page, width, wide, names: sticking_out(inside)});
    frame.remove();
  }
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Server(ThreadingHTTPServer):
    """The site, the page that looks at it, and what that page found."""

    def __init__(self, site: Path, pages: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(site)))
        self.looker = LOOKER.replace("PAGES", json.dumps(pages)).replace("WIDTHS", str([*WIDTHS]))
        self.found: list[dict[str, object]] | None = None
        self.told = threading.Event()


class Handler(SimpleHTTPRequestHandler):
    """Answers the browser."""

    server: Server

    def do_GET(self) -> None:
        """Send a file of the site, or one of the pages made here."""
        if self.path.startswith("/look"):
            self._send(self.server.looker)
        elif self.path.startswith("/frame/"):
            width, page = self.path.removeprefix("/frame/").split("/", 1)
            self._send(
                f'<!doctype html><body style="margin: 0"><iframe src="/{page}" scrolling="no" '
                f'style="width: {width}px; height: 100vh; border: 0"></iframe>'
            )
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Take what was found."""
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.found = json.loads(text)
        self._send("")
        self.server.told.set()

    def log_message(self, *arguments: object) -> None:
        """Say nothing of single requests."""

    def _send(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())


def browser(*arguments: str) -> subprocess.Popen[bytes]:
    """Start Chromium without a window, with a profile of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("look_at_site: expected Chromium: apt-get install chromium")
    profile = tempfile.mkdtemp()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    return subprocess.Popen([program, *options, *arguments], stderr=subprocess.DEVNULL)


def look(server: Server, address: str) -> list[dict[str, object]]:
    """Return what sticks out, as the browser says."""
    process = browser(f"{address}/look", "--remote-debugging-port=0")
    try:
        if not server.told.wait(SECONDS):
            sys.exit(f"look_at_site: the browser said nothing in {SECONDS} s")
    finally:
        process.terminate()
        process.wait()
    assert server.found is not None
    return server.found


def take(address: str, page: str, width: int, height: int, folder: Path) -> None:
    """Take a picture of the upper part of a page."""
    name = f"{page.removesuffix('.html').replace('/', '-')}-{width}.png"
    size = f"--window-size={max(width, 500)},{height}"
    place = f"{address}/frame/{width}/{page}"
    process = browser(f"--screenshot={folder / name}", size, "--hide-scrollbars", place)
    process.wait(SECONDS)


def words_missing(site: Path) -> list[str]:
    """Return which words the index of the search does not lead to a page for."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(re.sub(r"^Search\.setIndex\(|\)\s*;?\s*$", "", text))
    return [w for w in FOUND_BY_SEARCH if not {**index["terms"], **index["titleterms"]}.get(w)]


def main() -> int:
    """Look, tell, and return the exit code."""
    parser = argparse.ArgumentParser(description="Look at the built site in a browser.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--height", type=int, default=1400, help="of pictures (%(default)s)")
    parser.add_argument("pages", nargs="*", help="of which to take pictures: index.html")
    options = parser.parse_args()
    files = sorted(options.site.rglob("*.html"))
    pages = [str(p.relative_to(options.site)) for p in files if "_static" not in p.parts]
    server = Server(options.site, pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    found, missing = look(server, address), words_missing(options.site)
    for one in found:
        names = "; ".join(map(str, one["names"]))  # type: ignore[call-overload]
        print(f"{one['page']} is {one['wide']} wide on a screen of {one['width']}: {names}")
    for word in missing:
        print(f"the search does not find {word}")
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for page in options.pages:
            for width in (390, 1280):
                take(address, page, width, options.height, options.pictures)
    print(f"{len(pages)} pages on screens of {', '.join(map(str, WIDTHS))}: {len(found)} too wide")
    return 1 if found or missing else 0


if __name__ == "__main__":
    sys.exit(main())
