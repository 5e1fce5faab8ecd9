"""The few kinds of panels that the dashboards are made of, all alike in legend, tooltip and colours.

Each has a title, a sentence that says what is shown and what is normal, a unit, and if there is one a runbook, by the alert's name without the
prefix Pulselake.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)

from .sources import PROMETHEUS, TRINO, Sql

GREEN, AMBER, RED, BLUE = "green", "orange", "red", "blue"

Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, statetimeline.Panel, table.Panel)

Limits = Sequence[tuple[float, str]]
"""From each value on, this colour; below the first it is green."""

FRESHNESS = {"0": ("fresh", GREEN), "1": ("degraded", AMBER), "2": ("stale", RED)}
"""What pulselake_freshness_state means."""
VERDICT = {"0": ("PASS", GREEN), "1": ("WARN", AMBER), "2": ("CRIT", RED)}
"""What pulselake_reconciliation_status means."""


def steps(limits: Limits, below: str = GREEN) -> build.ThresholdsConfig:
    first = [dashboard.Threshold(value=None, color=below)]
    further = [dashboard.Threshold(value=value, color=colour) for value, colour in limits]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(first + further)


def words(meanings: dict[str, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    results = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=index) for index, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [dashboard.ValueMap(options=results)]


def _named(panel: Panel, title: str, description: str, queries: Sequence[Any], runbook: str) -> Panel:
    source = TRINO if isinstance(queries[0], Sql) else PROMETHEUS
    panel.title(title).description(description).datasource(source)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(query.ref_id(letter))
    if runbook:
        link = build.DashboardLink("Runbook").type(dashboard.DashboardLinkType.LINK).url(f"${{runbooks}}/Pulselake{runbook}.html").target_blank(True)
        panel.links([link])
    return panel


def series(
    title: str,
    description: str,
    unit: str,
    *queries: Any,
    limits: Limits = (),
    is_stacked: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    named_by: str = "",
    width: int = 8,
    height: int = 8,
    runbook: str = "",
) -> timeseries.Panel:
    """Lines over time; limits are drawn as dashed lines. `named_by` is the column of texts that tells a statement's lines apart."""
    panel = _named(timeseries.Panel(), title, description, queries, runbook).unit(unit).span(width).height(height)
    panel.line_width(1).fill_opacity(25 if is_stacked else 8).show_points(VisibilityMode.NEVER).span_nulls(False)
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    if is_stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if limits:
        panel.thresholds(steps(limits)).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    if named_by:
        panel.display_name(f"${{__field.labels.{named_by}}}")
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    query: Any,
    limits: Limits = (),
    below: str = GREEN,
    meanings: dict[str, tuple[str, str]] | None = None,
    field: str = "",
    decimals: int | None = None,
    width: int = 4,
    runbook: str = "",
) -> stat.Panel:
    """One value, coloured by its limits; `field` is the column of a table that holds it."""
    panel = _named(stat.Panel(), title, description, [query], runbook).unit(unit).span(width).height(4)
    panel.thresholds(steps(limits, below)).color_mode(BigValueColorMode.BACKGROUND if limits or meanings else BigValueColorMode.VALUE)
    panel.graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields(f"/^{field}$/" if field else "").values(False))
    panel.no_value("–")
    if meanings:
        panel.mappings(words(meanings))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def states(
    title: str, description: str, meanings: dict[str, tuple[str, str]], *queries: Any, width: int = 12, height: int = 8, runbook: str = ""
) -> statetimeline.Panel:
    """How a state changes over time, a band for each series."""
    panel = _named(statetimeline.Panel(), title, description, queries, runbook).span(width).height(height)
    panel.mappings(words(meanings)).merge_values(True).show_value(VisibilityMode.AUTO).fill_opacity(80).line_width(0)
    panel.thresholds(steps(()))
    panel.legend(common.VizLegendOptions().show_legend(False).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
    return panel


def listing(
    title: str,
    description: str,
    *queries: Any,
    units: dict[str, str] | None = None,
    limits: dict[str, Limits] | None = None,
    colours: dict[str, dict[str, str]] | None = None,
    columns: dict[str, str] | None = None,
    width: int = 12,
    height: int = 10,
    runbook: str = "",
) -> table.Panel:
    """A table. By column: its unit, the limits that colour a cell, the colours of its words. `columns`, for several queries or
    those whose labels are columns: which there are, in this order, and what they are called."""
    panel = _named(table.Panel(), title, description, queries, runbook).span(width).height(height).show_header(True)
    for column, unit in (units or {}).items():
        panel.override_by_name(column, [dashboard.DynamicConfigValue(id_val="unit", value=unit)])
    as_background = dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background", "mode": "basic"})
    for column, column_limits in (limits or {}).items():
        value = dashboard.DynamicConfigValue(id_val="thresholds", value=steps(column_limits).build())
        panel.override_by_name(column, [value, as_background])
    for column, colour_of in (colours or {}).items():
        meanings = words({word: (word, colour) for word, colour in colour_of.items()})
        panel.override_by_name(column, [dashboard.DynamicConfigValue(id_val="mappings", value=meanings), as_background])
    if columns:
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}}))
        order = {column: index for index, column in enumerate(columns)}
        renamed = {"indexByName": order, "renameByName": columns, "excludeByName": {}}
        panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=renamed))
    return panel
