"""Write the dashboards: `python -m grafana.build`."""

from __future__ import annotations

from grafana.build.render import FOLDER, files

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, "utf-8")
