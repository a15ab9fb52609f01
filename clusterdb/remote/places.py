"""Places: the states of repositories that lazy clones of a store read their pages from, as documents of the catalog.

A place is a repository's URL, the number of one of its states, and a *pin* on that state: an object of the repository
that keeps it from being collected until a time.  The store that clones owns the pin, and renews it when half of its
life is over, by another pin: one that has expired may be about to be deleted.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import time_ns
from typing import Any

from clusterdb.catalog.documents import STORE
from clusterdb.core.context import Context
from clusterdb.errors import Error, RemoteNotFoundError
from clusterdb.remote.absent import FILE, AbsentPages
from clusterdb.remote.manifest import Manifest, Segments
from clusterdb.remote.objects import open_objects
from clusterdb.remote.repository import Repository, Slots
from clusterdb.remote.tree import nowhere
from clusterdb.rules.urls import plain_url
from vfs.failpoints import reach
from vfs.format.layout import Entry

__all__ = ["absent_pages", "absent_pages_if_any", "add_place", "note_place", "remote_slots", "renew_due", "slots_of"]

_KIND = "place"
_opening = threading.Lock()
"""Held while the file of a store's absent pages is opened, which threads may find missing at once."""
_LIFE_NS = 30 * 86_400 * 10**9
"""How long a pin lasts."""


def add_place(context: Context, repository: Repository, manifest: Manifest) -> int:
    """The number of the place of a state, which is pinned.

    Raises RemoteError; RemoteNotFoundError if the state expires.
    """
    url = repository.objects.address
    documents = context.catalog.documents.all(_KIND, STORE)
    for _, name, body in documents:
        if (body["url"], body["number"]) == (url, manifest.number) and not _is_due(body):
            return int(name)
    pin, until_ns = secrets.token_hex(8), time_ns() + _LIFE_NS
    repository.pin(pin, manifest.number, until_ns)
    repository.settle(manifest)
    reach("clone: state pinned")
    if repository.may_expire(manifest.number):
        repository.unpin(pin)
        raise RemoteNotFoundError(f"state {manifest.number} of {repository.url} has expired: clone a newer one")
    with context.catalog.transaction():
        number = 1 + max((int(name) for _, name, _ in context.catalog.documents.all(_KIND, STORE)), default=0)
        body = {"url": url, "number": manifest.number, "pin": pin, "until_ns": until_ns}
        context.catalog.documents.put(STORE, _KIND, str(number), body)
    return number


def note_place(context: Context, repository: Repository, manifest: Manifest) -> None:
    """Note a state that the caller pins as the place of the clones that follow."""
    with context.catalog.transaction():
        body = {"url": repository.objects.address, "number": manifest.number, "pin": "", "until_ns": 1 << 62}
        context.catalog.documents.put(STORE, _KIND, "1", body)


def slots_of(context: Context, place: int, *, renews: bool = False) -> Slots:
    """The reader of a place; with ``renews``, after its pin was renewed if that is due, otherwise before.

    Raises RemoteNotFoundError, RemoteUnavailableError, RemoteDamagedError.
    """
    body = context.catalog.documents.get(STORE, _KIND, str(place))
    if body is None:
        raise RemoteNotFoundError(f"the catalog has no place {place}: restore catalog and pool from one backup")
    repository = Repository(open_objects(str(body["url"])))
    if renews and _is_due(body):
        _renew(context, repository, place, body)
    manifest = repository.state(int(body["number"]))
    if manifest is None:
        raise RemoteNotFoundError(
            f"state {body['number']} of {repository.url}, from which pages are missing here, has expired there: "
            "clone the database again"
        )
    if not renews and _is_due(body):
        context.defer(partial(_renew_if_possible, context, repository, place, body))  # SQLite is reading now
    return Slots(repository, manifest, tuple(run for ref in manifest.refs.values() for run in ref.hot))


def renew_due(context: Context) -> None:
    """Renew the pins of which half of the life is over, where the storage answers."""
    for _, name, body in context.catalog.documents.all(_KIND, STORE):
        if _is_due(body):
            _renew_if_possible(context, Repository(open_objects(str(body["url"]))), int(name), body)


def remote_slots(context: Context, repository: Repository, segments: Segments) -> Callable[[Entry], int]:
    """A function that returns the remote slot of the page of an entry here, if a repository has it; 0 otherwise.

    ``segments``: where the slots of its state are; no slot was ever used for other content (P5).
    """
    absent = absent_pages_if_any(context)
    documents = context.catalog.documents.all(_KIND, STORE)
    places = {int(name) for _, name, body in documents if plain_url(str(body["url"])).rstrip("/") == repository.url}
    if absent is None or not places:
        return nowhere
    words = absent.entries()

    def remote_slot(entry: Entry) -> int:
        at = 4 * entry.slot
        if at + 4 > len(words) or not words[at] or words[at + 1] != entry.crc or words[at + 2] not in places:
            return 0
        return words[at] if segments.has(words[at]) else 0

    return remote_slot


def _is_due(body: dict[str, Any]) -> bool:
    """Whether half of the life of a place's pin is over, or all of it."""
    return time_ns() > int(body["until_ns"]) - _LIFE_NS // 2


def _renew(context: Context, repository: Repository, place: int, body: dict[str, Any]) -> None:
    """Pin the state of a place again.  Raises RemoteError; RemoteNotFoundError if it may expire (P6)."""
    now_ns, pin = time_ns(), secrets.token_hex(8)
    repository.pin(pin, int(body["number"]), now_ns + _LIFE_NS)
    if now_ns >= int(body["until_ns"]) and repository.may_expire(int(body["number"])):
        repository.unpin(pin)
        raise RemoteNotFoundError(f"state {body['number']} of {repository.url} has expired: clone the database again")
    with context.catalog.transaction():
        body = {**body, "pin": pin, "until_ns": now_ns + _LIFE_NS}
        context.catalog.documents.put(STORE, _KIND, str(place), body)


def _renew_if_possible(context: Context, repository: Repository, place: int, body: dict[str, Any]) -> None:
    """Renew a pin, which lasts still: after an error, another process tries again."""
    with suppress(Error):
        _renew(context, repository, place, body)


def absent_pages(context: Context) -> AbsentPages:
    """Where the absent pages of a store are; creates its file."""
    pages = context.pages
    with _opening:
        if not isinstance(pages.residence, AbsentPages):
            assert pages.directory is not None
            pages.residence = AbsentPages(pages, pages.directory, lambda place: slots_of(context, place))
        return pages.residence


def absent_pages_if_any(context: Context) -> AbsentPages | None:
    """As :func:`absent_pages`, if the store has absent pages."""
    directory = context.pages.directory
    return absent_pages(context) if directory is not None and (directory / FILE).exists() else None
