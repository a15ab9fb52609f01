"""Plans of translations: what runs, in which order, computed before anything does."""

from __future__ import annotations

import pytest

from clusterdb.flavours.flavour import Translation
from clusterdb.flavours.session import Plan, plan


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("in_transaction", [True, False])
def test_plan_has_the_statements_in_their_order(in_transaction: bool, autocommit: bool) -> None:
    """Those before the statement that answers, this one, those after it."""
    translation = Translation("SELECT 1", before=("SELECT 0",), after=("SELECT 2",))
    planned = plan(translation, in_transaction=in_transaction, autocommit=autocommit)
    assert planned == Plan(("SELECT 0",), "SELECT 1", ("SELECT 2",))


@pytest.mark.parametrize(
    ("in_transaction", "autocommit", "before"),
    [
        (True, True, ("COMMIT",)),
        (True, False, ("COMMIT", "BEGIN")),
        (False, True, ()),
        (False, False, ("BEGIN",)),
    ],
)
def test_plan_commits_an_open_transaction_and_begins_one(
    in_transaction: bool, autocommit: bool, before: tuple[str, ...]
) -> None:
    """A statement that commits, and that begins a transaction unless each statement is one."""
    translation = Translation("DROP TABLE t", commits=True, begins=True)
    planned = plan(translation, in_transaction=in_transaction, autocommit=autocommit)
    assert planned == Plan(before, "DROP TABLE t")


def test_plan_begins_no_transaction_inside_of_one() -> None:
    """Without autocommit, too."""
    translation = Translation("SELECT 1", begins=True)
    assert plan(translation, in_transaction=True, autocommit=False) == Plan((), "SELECT 1")


def test_plan_of_a_commit_outside_of_a_transaction_is_empty() -> None:
    """COMMIT and ROLLBACK do nothing then."""
    translation = Translation("COMMIT", after=("BEGIN",), ends=True)
    assert plan(translation, in_transaction=False, autocommit=True) == Plan()
    assert plan(translation, in_transaction=True, autocommit=True) == Plan((), "COMMIT", ("BEGIN",))
