"""Makes `tests/golden/grafana/schema.json`, what Grafana 13 says its boards look like: `grafana_schema.py FOLDER`.

FOLDER is where `npm install @grafana/schema@13.2.3 ts-json-schema-generator` was run. The types come from
`@grafana/schema` (Apache-2.0), one schema for the board and one for each panel type; prose is left out.
Options of a panel are all optional: Grafana fills in its defaults.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

_RAW: Final = "./node_modules/@grafana/schema/dist/types/raw"
_PANELS: Final = {
    # panel type: (folder, whether fields have settings of its own)
    "stat": ("stat", False),
    "timeseries": ("timeseries", True),
    "table": ("table", True),
    "barchart": ("barchart", True),
    "bargauge": ("bargauge", False),
    "gauge": ("gauge", False),
    "heatmap": ("heatmap", True),
    "state-timeline": ("statetimeline", True),
    "text": ("text", False),
}
OUT: Final = Path(__file__).resolve().parents[1] / "golden" / "grafana" / "schema.json"


def schema(folder: Path, name: str, source: str, partial: bool = False) -> Any:
    """Return the JSON Schema of one exported type."""
    wanted = "Partial<Wanted>" if partial else "Wanted"
    (folder / "root.ts").write_text(
        f"import {{ {name} as Wanted }} from '{_RAW}/{source}/x/types.gen';\n"
        f"export type Root = {wanted};\n"
    )
    generator = str(folder / "node_modules/.bin/ts-json-schema-generator")
    command = [generator, "--path", "root.ts", "--type", "Root", "--no-type-check"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return _bare(json.loads(done.stdout))


def _bare(node: Any) -> Any:
    if isinstance(node, dict):
        prose = {key for key in ("description", "$comment") if isinstance(node.get(key), str)}
        return {key: _bare(value) for key, value in node.items() if key not in prose}
    return [_bare(one) for one in node] if isinstance(node, list) else node


def main() -> None:
    """Write the schemas."""
    folder = Path(sys.argv[1])
    panels = {kind: f"composable/{name}/panelcfg" for kind, (name, _) in _PANELS.items()}
    found = {
        "board": schema(folder, "Dashboard", "dashboard"),
        "options": {
            kind: schema(folder, "Options", source, partial=True) for kind, source in panels.items()
        },
        "custom": {
            kind: schema(folder, "FieldConfig", source, partial=True)
            for kind, source in panels.items()
            if _PANELS[kind][1]
        },
    }
    OUT.write_text(json.dumps(found, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
