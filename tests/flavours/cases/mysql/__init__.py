"""Cases of Aurora MySQL (MySQL 8): only what MariaDB answers too, since that is the server that proves them."""

from __future__ import annotations

from tests.flavours.cases.mysql.alter import ALTER
from tests.flavours.cases.mysql.columns import COLUMNS
from tests.flavours.cases.mysql.functions import FUNCTIONS
from tests.flavours.cases.mysql.keys import KEYS
from tests.flavours.cases.mysql.numbers import NUMBERED_ROWS
from tests.flavours.cases.mysql.queries import QUERIES
from tests.flavours.cases.mysql.session import SESSION
from tests.flavours.cases.mysql.tables import TABLES
from tests.flavours.cases.mysql.types import TYPES
from tests.flavours.cases.mysql.unsupported import UNSUPPORTED
from tests.flavours.cases.mysql.variables import VARIABLES
from tests.flavours.cases.mysql.writing import WRITING

__all__ = ["MYSQL"]

MYSQL = [
    *TABLES,
    *NUMBERED_ROWS,
    *WRITING,
    *SESSION,
    *QUERIES,
    *FUNCTIONS,
    *TYPES,
    *UNSUPPORTED,
    *VARIABLES,
    *COLUMNS,
    *KEYS,
    *ALTER,
]
