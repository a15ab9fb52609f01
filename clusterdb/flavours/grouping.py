"""What GROUP BY determines: a column beside it has one value in each group, or nobody knows which of several is meant.

PostgreSQL takes a column that is grouped, or whose table's primary key is.  MySQL also takes what WHERE and ON equate
with such a column or with a constant, and the rest of a table of which a key is determined so.
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
    """A column beside GROUP BY that has no one value; ``within`` a subquery, or in the query itself."""

    name: str
    within: bool


def doubtful(tree: exp.Expression, names: Names, schema: Schema, *, equations: bool) -> Iterator[Doubtful]:
    """The columns of a statement that its groups do not determine; ``equations`` says that conditions do so too."""
    for select in tree.find_all(exp.Select):
        query, group = names.queries.get(id(select)), select.args.get("group")
        if query is None or not query.sources or (group is not None and _is_of_sets(group)):
            continue
        shown = [*select.expressions, select.args.get("having"), select.args.get("order")]
        grouped = group is not None or (select.args.get("having") is not None and not equations)
        if grouped or any(each is not None and aggregates_of(each) for each in shown):
            yield from _Groups(select, query, names, schema, equations).doubtful()


def _is_of_sets(group: exp.Group) -> bool:
    """Whether there are several sets of groups, which no flavour understands."""
    return group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None or not group.expressions


def named_too_late(tree: exp.Expression, names: Names, *, parts: tuple[str, ...]) -> Iterator[str]:
    """The names that SELECT gives, and that ``parts`` of the query use, which are done before it; SQLite knows them."""
    for select in tree.find_all(exp.Select):
        query = names.queries.get(id(select))
        if query is None or None in query.sources.values():
            continue
        for part in map(select.args.get, parts):
            for column in part.find_all(exp.Column) if part is not None else []:
                if names.aliased.get(id(column)) == query.number:
                    yield column.name


class _Groups:
    """The groups of one query."""

    def __init__(self, select: exp.Select, query: Query, names: Names, schema: Schema, equations: bool) -> None:
        self.select, self.query, self.names, self.schema = select, query, names, schema
        self.equations = equations
        self.aliases = {each.alias.lower(): each.unalias() for each in select.expressions if each.alias}
        group = select.args.get("group")
        keys = [self.key(each) for each in (group.expressions if group is not None else [])]
        self.keys = {self.said(each) for each in keys}
        self.determined: set[_Place] = {place for place in map(self.place, keys) if place is not None}
        self.determine()

    def key(self, node: exp.Expression) -> exp.Expression:
        """What is grouped by: an expression, or a column of the query by its number or name."""
        inner = node.unnest()
        node = inner if isinstance(inner, exp.Expression) else node
        if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
            at = int(node.name) - 1
            return self.select.expressions[at].unalias().unnest() if at < len(self.select.expressions) else node
        if isinstance(node, exp.Column) and not node.table and self.place(node) is None:
            return self.aliases.get(node.name.lower(), node).unnest()
        return node

    def place(self, node: exp.Expression) -> _Place | None:
        """The source and the name of a column of this query's; None for anything else."""
        found = self.names.columns.get(id(node))
        return (found[1], node.name.lower()) if found is not None and found[0] == self.query.number else None

    def said(self, node: exp.Expression) -> str:
        """An expression as a text that is the same however its columns are named; parameters are all alike."""
        made = exp.Paren(this=node.copy())
        for before, after in zip(list(node.find_all(exp.Column)), list(made.find_all(exp.Column)), strict=True):
            found = self.names.columns.get(id(before))
            if found is not None:
                after.replace(exp.column(before.name.lower(), table=f"{found[0]}.{found[1]}"))
        for each in list(made.this.find_all(exp.Paren)):
            each.replace(each.this)
        for each in list(made.find_all(exp.Placeholder, exp.Parameter)):
            each.replace(exp.Placeholder())
        return str(made.sql(comments=False, normalize_functions="lower"))

    # --- what is determined -----------------------------------------------------------------------------------------
    def determine(self) -> None:
        """Keys determine their tables, and equations other columns, until nothing more is found."""
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
        """Columns, each with the columns that determine it."""
        joins = self.select.args.get("joins") or []
        one_sided = any(join.side in ("RIGHT", "FULL") for join in joins)
        for condition in conjuncts(self.select.args.get("where")):
            yield from self.equation(condition)
        for join in joins if not one_sided else []:
            yield from self.using(join)
            condition, joined = join.args.get("on"), join.this.alias_or_name.lower()
            for each in conjuncts(condition):
                if join.side != "LEFT":
                    yield from self.equation(each)
                    continue
                others = {place for place in map(self.place, condition.find_all(exp.Column)) if place is not None}
                others = {place for place in others if place[0] != joined}
                for column, found in self.equation(each):
                    if column[0] == joined and joined not in {source for source, _ in found}:
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
        """JOIN ... USING equates the columns of a name with each other."""
        joined = join.this.alias_or_name.lower()
        for each in join.args.get("using") or []:
            name = each.name.lower()
            for source, columns in self.query.sources.items():
                if source == joined or not columns or name not in columns:
                    continue
                yield (joined, name), {(source, name)}
                if join.side != "LEFT":
                    yield (source, name), {(joined, name)}

    # --- what is doubtful -------------------------------------------------------------------------------------------
    def doubtful(self) -> Iterator[Doubtful]:
        for each in self.select.expressions:
            yield from self.of(each.unalias())
        having, order, distinct = (self.select.args.get(part) for part in ("having", "order", "distinct"))
        for each in [having, *(self.select.args.get("windows") or []), distinct and distinct.args.get("on")]:
            if each is not None:
                yield from self.of(each)
        for each in order.expressions if order is not None else []:
            key = each.this.unnest()
            if not (isinstance(key, exp.Column) and not key.table and key.name.lower() in self.aliases):
                yield from self.of(key)

    def of(self, node: exp.Expression, *, within: bool = False) -> Iterator[Doubtful]:
        """The columns of an expression that have no one value in a group."""
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
        if isinstance(node, exp.Condition) and self.keys and self.said(node) in self.keys:
            return
        within = within or isinstance(node, exp.Query)
        for each in node.iter_expressions():
            yield from self.of(each, within=within) if not within or not _is_star(each) else ()

    def is_other_s(self, node: exp.Expression) -> bool:
        """Whether an aggregate in a subquery is one of the subquery's rows."""
        columns = list(node.find_all(exp.Column))
        return not columns or any(self.place(each) is None for each in columns)

    def of_star(self, wanted: str) -> Iterator[Doubtful]:
        for source, columns in self.query.sources.items():
            for name in columns or {} if wanted in ("", source) else ():
                if name != "_rowid_" and (source, name) not in self.determined:
                    yield Doubtful(f"{source}.{name}", within=False)


def _is_star(node: exp.Expression) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
