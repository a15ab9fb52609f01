"""x"""

from clusterdb.flavours.types import Typing

TYPING = Typing({}, {})
