"""Cases of Aurora PostgreSQL."""

from __future__ import annotations

from tests.flavours.cases.postgresql.constraints import CONSTRAINTS
from tests.flavours.cases.postgresql.definitions import DEFINITIONS
from tests.flavours.cases.postgresql.functions import FUNCTIONS
from tests.flavours.cases.postgresql.names import NAMES
from tests.flavours.cases.postgresql.queries import QUERIES
from tests.flavours.cases.postgresql.sequences import SEQUENCES
from tests.flavours.cases.postgresql.session import SESSION
from tests.flavours.cases.postgresql.tables import TABLES
from tests.flavours.cases.postgresql.types import TYPES
from tests.flavours.cases.postgresql.unsupported import UNSUPPORTED
from tests.flavours.cases.postgresql.writing import WRITING

__all__ = ["POSTGRESQL"]

POSTGRESQL = [
    *TABLES,
    *SEQUENCES,
    *WRITING,
    *SESSION,
    *QUERIES,
    *FUNCTIONS,
    *TYPES,
    *UNSUPPORTED,
    *CONSTRAINTS,
    *DEFINITIONS,
    *NAMES,
]
