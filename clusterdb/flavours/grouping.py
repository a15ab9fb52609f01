"""Functional dependence on GROUP BY: columns that have one value in each group, and references to aliases too early.

In PostgreSQL a column depends on GROUP BY if it, or its table's primary key, is grouped.  In MySQL also if WHERE or ON
equates it with such a column or with a constant, or if its table has a key that depends on GROUP BY.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from clusterdb.flavours.schema import Schema
from clusterdb.flavours.subqueries import aggregates_of, conjuncts, is_aggregate, is_alike, sides
from clusterdb.flavours.types import Names, Query

__all__ = ["Doubtful", "doubtful", "named_too_late"]

_Place = tuple[str, str]


@dataclass(frozen=True)
class Doubtful:
    """A column that does not depend on GROUP BY; ``within`` a subquery of the query, or in the query itself."""

    name: str
    within: bool


def doubtful(tree: exp.Expression, names: Names, schema: Schema, *, equations: bool) -> Iterator[Doubtful]:
    """The columns of a statement that do not depend on its groups; ``equations``: conditions make columns depend."""
    for select in tree.find_all(exp.Select):
        query, group = names.queries.get(id(select)), select.args.get("group")
        if query is None or not query.sources or (group is not None and _is_of_sets(group)):
            continue
        shown = [*select.expressions, select.args.get("having"), select.args.get("order")]
        grouped = group is not None or (select.args.get("having") is not None and not equations)
        if grouped or any(part is not None and aggregates_of(part) for part in shown):
            yield from _Groups(select, query, names, schema, equations).doubtful()


def _is_of_sets(group: exp.Group) -> bool:
    """Whether there are several grouping sets, which no flavour supports."""
    return group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None or not group.expressions


def named_too_late(tree: exp.Expression, names: Names, *, parts: tuple[str, ...]) -> Iterator[str]:
    """The aliases of SELECT that ``parts`` of the query use though they precede it; SQLite would accept them."""
    for select in tree.find_all(exp.Select):
        query = names.queries.get(id(select))
        if query is None or None in query.sources.values():
            continue
        for part in map(select.args.get, parts):
            for column in part.find_all(exp.Column) if part is not None else []:
                if names.aliased.get(id(column)) == query.number:
                    yield column.name


class _Groups:
    """The groups of one query and the columns that depend on them."""

    def __init__(self, select: exp.Select, query: Query, names: Names, schema: Schema, equations: bool) -> None:
        self.select, self.query, self.names, self.schema = select, query, names, schema
        self.equations = equations
        self.aliases = {column.alias.lower(): column.unalias() for column in select.expressions if column.alias}
        group = select.args.get("group")
        keys = [self.key(node) for node in (group.expressions if group is not None else [])]
        self.keys = {self.comparable(key) for key in keys}
        self.determined: set[_Place] = {place for place in map(self.place, keys) if place is not None}
        self.determine()

    def key(self, node: exp.Expression) -> exp.Expression:
        """The expression that a key of GROUP BY denotes; a number or an alias denotes a result column."""
        inner = node.unnest()
        node = inner if isinstance(inner, exp.Expression) else node
        if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
            at = int(node.name) - 1
            return self.select.expressions[at].unalias().unnest() if at < len(self.select.expressions) else node
        if isinstance(node, exp.Column) and not node.table and self.place(node) is None:
            return self.aliases.get(node.name.lower(), node).unnest()
        return node

    def place(self, node: exp.Expression) -> _Place | None:
        """The source and the name of a column of this query; None for other nodes."""
        resolved = self.names.columns.get(id(node))
        is_own = resolved is not None and resolved[0] == self.query.number
        return (resolved[1], node.name.lower()) if resolved is not None and is_own else None

    def comparable(self, node: exp.Expression) -> str:
        """The text of an expression with its columns resolved and its parameters unnamed, for comparison."""
        copy = exp.Paren(this=node.copy())
        for before, after in zip(list(node.find_all(exp.Column)), list(copy.find_all(exp.Column)), strict=True):
            resolved = self.names.columns.get(id(before))
            if resolved is not None:
                after.replace(exp.column(before.name.lower(), table=f"{resolved[0]}.{resolved[1]}"))
        for paren in list(copy.this.find_all(exp.Paren)):
            paren.replace(paren.this)
        for parameter in list(copy.find_all(exp.Placeholder, exp.Parameter)):
            parameter.replace(exp.Placeholder())
        return str(copy.sql(comments=False, normalize_functions="lower"))

    # --- dependent columns --------------------------------------------------------------------------------------------
    def determine(self) -> None:
        """Apply keys and equations until no further column depends on the groups."""
        equations = list(self.found_equations()) if self.equations else []
        count = -1
        while count != len(self.determined):
            count = len(self.determined)
            for source in self.query.sources:
                self.determine_by_key(source)
            for column, others in equations:
                if others <= self.determined:
                    self.determined.add(column)

    def determine_by_key(self, source: str) -> None:
        table = self.query.tables.get(source, "")
        keys = [self.schema.primary.get(table, frozenset()), *(self.schema.unique.get(table, ()))]
        own = {name for at, name in self.determined if at == source}
        if any(key and key <= own for key in (keys if self.equations else keys[:1])):
            self.determined |= {(source, name) for name in self.query.sources[source] or {}}

    def found_equations(self) -> Iterator[tuple[_Place, set[_Place]]]:
        """Pairs of a column and the columns that determine it, from WHERE, ON and USING."""
        joins = self.select.args.get("joins") or []
        one_sided = any(join.side in ("RIGHT", "FULL") for join in joins)
        for condition in conjuncts(self.select.args.get("where")):
            yield from self.equation(condition)
        for join in joins if not one_sided else []:
            yield from self.using(join)
            condition, joined = join.args.get("on"), join.this.alias_or_name.lower()
            for conjunct in conjuncts(condition):
                if join.side != "LEFT":
                    yield from self.equation(conjunct)
                    continue
                others = {place for place in map(self.place, condition.find_all(exp.Column)) if place is not None}
                others = {place for place in others if place[0] != joined}
                for column, determining in self.equation(conjunct):
                    if column[0] == joined and joined not in {source for source, _ in determining}:
                        yield column, others

    def equation(self, condition: exp.Expression) -> Iterator[tuple[_Place, set[_Place]]]:
        for column, value in sides(condition):
            place = self.place(column)
            if place is not None and is_alike(column, value):
                yield place, {other for other in map(self.place, value.find_all(exp.Column)) if other is not None}
        if isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null):
            place = self.place(condition.this.unnest())
            if place is not None:
                yield place, set()

    def using(self, join: exp.Join) -> Iterator[tuple[_Place, set[_Place]]]:
        """The pairs of JOIN ... USING, which equates columns of the same name."""
        joined = join.this.alias_or_name.lower()
        for column in join.args.get("using") or []:
            name = column.name.lower()
            for source, columns in self.query.sources.items():
                if source == joined or not columns or name not in columns:
                    continue
                yield (joined, name), {(source, name)}
                if join.side != "LEFT":
                    yield (source, name), {(joined, name)}

    # --- columns that do not depend on the groups ---------------------------------------------------------------------
    def doubtful(self) -> Iterator[Doubtful]:
        for column in self.select.expressions:
            yield from self.of(column.unalias())
        having, order, distinct = (self.select.args.get(part) for part in ("having", "order", "distinct"))
        for part in [having, *(self.select.args.get("windows") or []), distinct and distinct.args.get("on")]:
            if part is not None:
                yield from self.of(part)
        for ordered in order.expressions if order is not None else []:
            key = ordered.this.unnest()
            if not (isinstance(key, exp.Column) and not key.table and key.name.lower() in self.aliases):
                yield from self.of(key)

    def of(self, node: exp.Expression, *, within: bool = False) -> Iterator[Doubtful]:
        """The columns of an expression that do not depend on the groups."""
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            yield from self.of_star(node.table.lower() if isinstance(node, exp.Column) else "")
            return
        if is_aggregate(node.this if isinstance(node, exp.Filter) else node) and not (within and self.is_other_s(node)):
            return
        if isinstance(node, exp.Column):
            place = self.place(node)
            if place is not None and place not in self.determined:
                yield Doubtful(f"{place[0]}.{place[1]}", within)
            return
        if isinstance(node, exp.Condition) and self.keys and self.comparable(node) in self.keys:
            return
        within = within or isinstance(node, exp.Query)
        for inner in node.iter_expressions():
            yield from self.of(inner, within=within) if not within or not _is_star(inner) else ()

    def is_other_s(self, node: exp.Expression) -> bool:
        """Whether an aggregate in a subquery aggregates the subquery's own rows."""
        columns = list(node.find_all(exp.Column))
        return not columns or any(self.place(column) is None for column in columns)

    def of_star(self, wanted: str) -> Iterator[Doubtful]:
        for source, columns in self.query.sources.items():
            for name in columns or {} if wanted in ("", source) else ():
                if name != "_rowid_" and (source, name) not in self.determined:
                    yield Doubtful(f"{source}.{name}", within=False)


def _is_star(node: exp.Expression) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
