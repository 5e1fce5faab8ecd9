"""Where panels get their data from: queries on Prometheus and on Trino.

No panel names a data source: each goes through a variable of the dashboard, so that the same JSON works wherever it is imported.
"""

from typing import Any, Self

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.cog import variants as cogvariants
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

PROMETHEUS_TYPE = "prometheus"
TRINO_TYPE = "trino-datasource"
PROMETHEUS = dashboard.DataSourceRef(type_val=PROMETHEUS_TYPE, uid="${prometheus}")
TRINO = dashboard.DataSourceRef(type_val=TRINO_TYPE, uid="${trino}")

ANY_JOB = 'job=~"$job"'
ANY_INSTANCE = f'{ANY_JOB},instance=~"$instance"'
"""The choice of engines at the top of a dashboard."""
ANY_TABLE = 'table=~"$table"'


def of(metric: str, *matchers: str) -> str:
    """The series of a metric of the chosen engines."""
    return f"{metric}{{{','.join((ANY_INSTANCE, *matchers))}}}"


def recorded(name: str) -> str:
    """The series of a recording rule of config/prometheus/rules: those of a job stand for all its engines together."""
    return f"{name}{{{ANY_INSTANCE if name.startswith('instance') else ANY_JOB}}}"


def rate(metric: str, *matchers: str) -> str:
    """How much a counter rises per second."""
    return f"rate({of(metric, *matchers)}[$__rate_interval])"


def level(how: str, metric: str, *matchers: str, by: str = "") -> str:
    """Gauges of the chosen engines brought together: `how` is sum, max, min or count."""
    return f"{how}{f' by ({by})' if by else ''} ({of(metric, *matchers)})"


def summed(metric: str, *matchers: str, by: str = "") -> str:
    """How much a counter rises per second, summed over the chosen engines, one for each value of the labels `by`."""
    return f"sum{f' by ({by})' if by else ''} ({rate(metric, *matchers)})"


def rise(metric: str, within: str, *matchers: str, by: str = "") -> str:
    """How much a counter has risen within a time, summed likewise."""
    return f"sum{f' by ({by})' if by else ''} (increase({of(metric, *matchers)}[{within}]))"


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """A quantile of a histogram over the chosen engines, one for each value of the label `by`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate(histogram + '_bucket', *matchers)}))"


def over_time(expression: str, legend: str) -> prometheus.Dataquery:
    """An expression along the dashboard's time."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range().editor_mode(QueryEditorMode.CODE).datasource(PROMETHEUS)


def now(expression: str, legend: str = "") -> prometheus.Dataquery:
    """An expression at the end of the dashboard's time."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant().editor_mode(QueryEditorMode.CODE).datasource(PROMETHEUS)


def now_as_table(expression: str) -> prometheus.Dataquery:
    """The same, with a row for each series and a column for each label."""
    return now(expression).format(PromQueryFormat.TABLE)


class TrinoQuery(cogvariants.Dataquery):
    """A query of the Trino plugin, which the SDK does not know: the fields are those of `TrinoQuery` in its src/types.ts."""

    TIME_SERIES, TABLE = 0, 1

    def __init__(self, statement: str, result_format: int) -> None:
        self.statement = statement
        self.result_format = result_format
        self.ref_id = ""

    def to_json(self) -> dict[str, Any]:
        return {"refId": self.ref_id, "datasource": TRINO, "rawSQL": self.statement, "format": self.result_format}


class Sql(cogbuilder.Builder[TrinoQuery]):
    """A statement in Trino's SQL."""

    def __init__(self, statement: str, is_time_series: bool = False) -> None:
        lines = [line.rstrip() for line in statement.strip().splitlines()]
        self._query = TrinoQuery("\n".join(lines), TrinoQuery.TIME_SERIES if is_time_series else TrinoQuery.TABLE)

    def ref_id(self, ref_id: str) -> Self:
        self._query.ref_id = ref_id
        return self

    def build(self) -> TrinoQuery:
        return self._query


IN_TIME = "BETWEEN from_iso8601_timestamp('${__from:date:iso}') AND from_iso8601_timestamp('${__to:date:iso}')"
"""The dashboard's time. The plugin's $__timeFilter writes timestamps without a zone, which mean the Trino server's own."""
