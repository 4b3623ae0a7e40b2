"""Print the dashboard's expressions as a file of rules, so that promtool, which knows no dashboards, reads them too."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "quantum-trader.json"
SPAN = "5m"


def expressions(dashboard: Mapping[str, Any]) -> list[str]:
    """Every expression of panels and annotations, Grafana's variables replaced by something of their kind."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [one["expr"] for one in dashboard["annotations"]["list"] if "expr" in one]
    return [re.sub(r"\$\w+", "any", expression.replace("$__rate_interval", SPAN)) for expression in found]


def main() -> None:
    """Write the rules as JSON, which is YAML too."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions(dashboard))]
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)


if __name__ == "__main__":
    main()
