"""What the three dashboards share: variables, links to one another, alerts as annotations, and the rows that panels stand in."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

from .sources import ANY_INSTANCE, ANY_JOB, PROMETHEUS, PROMETHEUS_TYPE, TRINO_TYPE

TAG = "pulselake"
FIRING = 'ALERTS{alertstate="firing",alertname=~"Pulselake.+"}'

Rows = Sequence[tuple[str, Sequence[Any]]]
"""Rows: their titles and panels."""


def source(name: str, label: str, plugin: str) -> build.DatasourceVariable:
    return build.DatasourceVariable(name).label(label).type(plugin).hide(VariableHide.DONT_HIDE)


def choice(name: str, label: str, description: str, query: str) -> build.QueryVariable:
    """Values of a label, of which several can be chosen; all at first."""
    everything = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        build.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": "StandardVariableQuery"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


def text(name: str, label: str, description: str, default: str) -> build.TextBoxVariable:
    value = dashboard.VariableOption(selected=True, text=default, value=default)
    return build.TextBoxVariable(name).label(label).description(description).default_value(default).current(value)


JOB = choice("job", "Job", "Deployments: engines that share a consumer group share a job of Prometheus.", "label_values(pulselake_build_info, job)")
INSTANCE = choice(
    "instance", "Engine", "Processes, by the address that Prometheus scrapes.", f"label_values(pulselake_build_info{{{ANY_JOB}}}, instance)"
)
TABLE = choice(
    "table",
    "Table",
    "Tables that are written to or maintained.",
    f'label_values({{__name__=~"pulselake_table_commits_total|pulselake_live_files",{ANY_INSTANCE}}}, table)',
)
RUNBOOKS = text(
    "runbooks", "Runbooks", "Where the pages of docs/runbooks are published: the same place as in the alerts.", "https://pulselake.example/runbooks"
)
CATALOG = text("catalog", "Catalog", "Trino's catalog of the tables.", "lake")
VIEWS = text("views", "Views", "Schema of the serving views in that catalog.", "serving")


def assemble(
    uid: str, title: str, description: str, refresh: str, since: str, rows: Rows, further: Sequence[Any], uses_trino: bool
) -> dashboard.Dashboard:
    """The dashboard. Panels are numbered in their order, so that a change makes a small difference."""
    whole = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time(since, "now")
        .refresh(refresh)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(source("prometheus", "Prometheus", PROMETHEUS_TYPE))
        .link(
            build.DashboardLink("Pulselake")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
            .icon("dashboard")
            .tooltip("The other dashboards of Pulselake")
        )
        .annotation(build.AnnotationQuery().name("Alerts").datasource(PROMETHEUS).enable(True).hide(False).icon_color("red").expr(FIRING))
    )
    if uses_trino:
        whole.with_variable(source("trino", "Trino", TRINO_TYPE))
    for variable in (JOB, INSTANCE, *further, RUNBOOKS):
        whole.with_variable(variable)
    for row_title, panels in rows:
        whole.with_row(build.Row(row_title))
        for panel in panels:
            whole.with_panel(panel)
    built = whole.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return built
