"""`python -m grafana.pictures --prometheus URL --seconds N --out FOLDER`: a picture of each board, and a contact sheet.

Needs Node.js with npm, Chromium and the extra `pictures`; npm's packages are kept in the user's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from grafana.build.boards import BOARDS
from grafana.build.render import FOLDER
from grafana.pictures.answers import Prometheus, Window, board

_HERE: Final = Path(__file__).resolve().parent
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otelcol-llm"
_LOADERS: Final = ("ttf=dataurl", "woff=dataurl", "woff2=dataurl", "svg=text")
_COLUMNS: Final = 4
_WIDTH: Final = 1632
_SHEET_WIDTH: Final = 2400


def bundle() -> Path:
    """Return the folder with `page.js` and `page.css`, made of Grafana's packages."""
    folder = _CACHE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "page.jsx", "scrollbars.js"):
        shutil.copy(_HERE / name, folder / name)
    if not (folder / "node_modules").exists():
        install = ["npm", "install", "--legacy-peer-deps", "--ignore-scripts", "--no-audit"]
        subprocess.run(install, cwd=folder, check=True)
    loaders = [f"--loader:.{loader}" for loader in _LOADERS]
    define = ["--define:global=window", '--define:process.env.NODE_ENV="production"']
    command = [str(folder / "node_modules/.bin/esbuild"), "page.jsx", "--bundle", "--minify"]
    command += ["--outfile=page.js", "--log-level=error", *loaders, *define]
    command += ["--alias:react-custom-scrollbars-2=./scrollbars.js"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def picture(page: Page, folder: Path, answered: object, out: Path) -> None:
    """Draw one board and save it."""
    data = json.dumps(answered).replace("</", "<\\/")
    html = (
        '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css">'
        '<body style="margin:0"><div id="root"></div>'
        f'<script>window.board = {data}</script><script src="page.js"></script>'
    )
    path = folder / "board.html"
    path.write_text(html, "utf-8")
    problems: list[str] = []
    page.once("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_timeout(500)
    if problems:
        msg = f"{out.stem} could not be drawn: {problems[0]}"
        raise RuntimeError(msg)
    page.wait_for_timeout(1500)  # charts draw after their first layout
    page.locator("#board").screenshot(path=out)


def contact_sheet(pictures: list[Path], out: Path) -> None:
    """Lay the pictures out in columns: the first first, then the longest where there is most room left."""
    width = _SHEET_WIDTH // _COLUMNS
    small = [_narrow(path, width - 8) for path in pictures]
    small[1:] = sorted(small[1:], key=lambda one: -one.height)
    heights = [0] * _COLUMNS
    placed = []
    for one in small:
        column = heights.index(min(heights))
        placed.append((one, (column * width + 4, heights[column] + 4)))
        heights[column] += one.height + 8
    sheet = Image.new("RGB", (_SHEET_WIDTH, max(heights)), "#111217")
    for one, where in placed:
        sheet.paste(one, where)
    sheet.save(out, quality=72, method=6)


def _narrow(path: Path, width: int) -> Image.Image:
    with Image.open(path) as image:
        size = (width, round(image.height * width / image.width))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="grafana.pictures", description=__doc__)
    parser.add_argument("--prometheus", required=True, help="URL of a Prometheus with data")
    parser.add_argument("--seconds", type=int, default=21_600, help="time range of the boards")
    parser.add_argument(
        "--end", type=float, default=time.time(), help="end of the range, Unix time"
    )
    parser.add_argument("--baseline", default="7d", help="what the variable baseline is")
    parser.add_argument("--rate-interval", default="1m", help="what $__rate_interval is")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--sheet", type=Path, help="file of the contact sheet (WebP)")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    variables = {
        "__range": f"{given.seconds}s",
        "__rate_interval": given.rate_interval,
        "__interval": given.rate_interval,
        "baseline": given.baseline,
        "data_mode": "real",
    }
    window = Window(start=given.end - given.seconds, end=given.end, variables=variables)
    prometheus = Prometheus(given.prometheus)
    folder = bundle()
    taken = []
    with sync_playwright() as player:
        chromium = shutil.which("chromium")
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 1000})
        for shown in BOARDS:
            if all(panel.source != "prom" for panel in shown.panels()):
                continue
            out = given.out / f"{shown.uid}.png"
            content = json.loads((FOLDER / f"{shown.uid}.json").read_text("utf-8"))
            picture(page, folder, board(prometheus, content, window), out)
            taken.append(out)
        browser.close()
    if given.sheet:
        contact_sheet(taken, given.sheet)


if __name__ == "__main__":
    main()
