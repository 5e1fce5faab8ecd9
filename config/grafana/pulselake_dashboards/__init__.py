"""The dashboards of Pulselake, in code. `generate.py` beside this package writes them; docs/grafana.md tells the rest."""
