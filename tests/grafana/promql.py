"""What a PromQL expression asks for, by its parsed form."""

from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

GRAFANA_VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
"""Grafana puts these in before Prometheus sees the expression. Others stand inside of strings, where they are any text."""
RISING = {"rate", "irate", "increase", "resets", "changes"}
"""Functions for what only rises."""


@dataclass(frozen=True)
class Selector:
    """One metric in an expression: its matchers' labels, and the function that is directly around it."""

    metric: str
    labels: frozenset[str]
    function: str


def parsed(expression: str) -> object:
    for variable, value in GRAFANA_VARIABLES.items():
        expression = expression.replace(variable, value)
    return promql_parser.parse(expression)


def selectors(node: object, function: str = "") -> Iterator[Selector]:
    match node:
        case MatrixSelector():
            yield from selectors(node.vector_selector, function)
        case VectorSelector():
            matchers = node.matchers.matchers
            names = [node.name] if node.name else [name for m in matchers if m.name == "__name__" for name in m.value.split("|")]
            for name in names:
                yield Selector(name, frozenset(m.name for m in matchers if m.name != "__name__"), function)
        case Call():
            for argument in node.args:
                yield from selectors(argument, node.func.name)
        case BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case AggregateExpr() | ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield from selectors(node.expr)
        case NumberLiteral() | StringLiteral():
            return
        case _:
            raise TypeError(f"{type(node).__name__} is not known here")


def grouping(node: object) -> set[str]:
    """Labels that aggregations and matchings name."""
    match node:
        case AggregateExpr():
            return set(node.modifier.labels if node.modifier else ()) | grouping(node.expr)
        case BinaryExpr():
            matching = node.modifier.matching if node.modifier else None
            return set(matching.labels if matching else ()) | grouping(node.lhs) | grouping(node.rhs)
        case Call():
            return set().union(*(grouping(argument) for argument in node.args))
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            return grouping(node.expr)
        case _:
            return set()
