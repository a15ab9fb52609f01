"""The errors of a service: what clients get, by AWS's code and HTTP status."""

from __future__ import annotations

__all__ = ["Fault"]


class Fault(Exception):
    """An answer that is an error.

    :ivar code: AWS's code as clients see it, e.g. ``DBClusterNotFoundFault``
    :ivar message: the text
    :ivar status: the HTTP status, 400 to 599
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def __repr__(self) -> str:
        return f"Fault({self.code!r}, {self.message!r}, {self.status})"
