"""Failover, crashes and the deletion of instances, which determine the writer."""

from __future__ import annotations

import random
import re

from clusterdb.catalog.rows import InstanceRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.errors import InvalidArgumentError, NoReaderError
from clusterdb.ha.instances import require, state_of
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules import status
from vfs.storage.volumes import fence_writers, fencing

__all__ = ["crash", "failover", "remove", "size_rank"]

_SIZES = ("micro", "small", "medium", "large", "xlarge")


def failover(context: Context, cluster: ClusterRef, target: str | None, *, instead_of: str | None = None) -> str:
    """Promote a reader to the writer, fence the old writer, and return the name of the new one.

    Without a target, chooses the reader of the lowest promotion tier, among these the largest, among these at random.
    With ``instead_of``, does nothing if another instance is the writer.
    """
    context.require_writable()
    volume = context.volume_of(cluster)
    with context.errors(), fencing(context.pages, volume) as fence, context.catalog.transaction():
        row = context.row_of(cluster)
        context.require_same(row, volume.volume)
        status.after(row.name, row.status, "fail over")
        instances = context.catalog.instances.of(row.cluster)
        readers = [instance for instance in instances if not instance.is_writer]
        writer = next((instance.name for instance in instances if instance.is_writer), "")
        if instead_of is not None and writer != instead_of:
            return writer
        if target is not None:
            chosen = require(context, row, target)
            if chosen.is_writer:
                raise InvalidArgumentError(
                    f"instance '{target}' is the writer of cluster '{row.name}' already: choose a reader"
                )
        elif not readers:
            raise NoReaderError(f"cluster '{row.name}' has no reader to fail over to: add an instance first")
        else:
            chosen = min(readers, key=_promotion_order)
        former = [instance for instance in instances if instance.is_writer]
        for instance in former:
            context.catalog.instances.set(instance._replace(is_writer=False))
        context.catalog.instances.set(chosen._replace(is_writer=True))
        message = f"failover from '{former[0].name}' to '{chosen.name}'" if former else f"'{chosen.name}' is the writer"
        context.catalog.events.add("cluster", row.name, "failover", message)
        fence()
        for instance in (*former, chosen):
            state_of(context, instance).restart()
    for instance in (*former, chosen):  # for connections opened meanwhile
        state_of(context, instance).restart()
    return chosen.name


def _promotion_order(reader: InstanceRow) -> tuple[int, float, float]:
    """The order of promotion: the lowest tier first, among these the largest class, among these at random."""
    return reader.tier, -size_rank(reader.instance_class), random.random()


def size_rank(instance_class: str) -> float:
    """The rank of a class by its size, the last part of its name (``db.r6g.2xlarge``); -1 for an unknown size."""
    size = instance_class.rpartition(".")[2]
    multiple = re.fullmatch(r"(\d+)xlarge", size)
    if multiple is not None:
        return len(_SIZES) + int(multiple[1])
    return _SIZES.index(size) if size in _SIZES else -1


def crash(context: Context, cluster: ClusterRef, name: str | None) -> None:
    """Crash an instance (None: the writer): its connections fail; if it is the writer, a reader takes its place."""
    context.require_writable()
    with context.catalog.transaction():
        row = context.row_of(cluster)
        status.after(row.name, row.status, "crash")
        instances = context.catalog.instances.of(row.cluster)
        writer = next((instance for instance in instances if instance.is_writer), None)
        chosen = require(context, row, name) if name is not None else writer
        if chosen is None:
            context.catalog.events.add("cluster", row.name, "failure", f"the writer of cluster '{row.name}' crashed")
        else:
            context.catalog.events.add("instance", chosen.name, "failure", f"instance '{chosen.name}' crashed")
    if chosen is None or (chosen.is_writer and len(instances) == 1):
        with context.errors():
            fence_writers(context.pages, context.require_in_use(row.volume))
    if chosen is not None:
        state_of(context, chosen).restart()
        if chosen.is_writer and len(instances) > 1:
            failover(context, cluster, None, instead_of=chosen.name)


def remove(context: Context, cluster: ClusterRef, name: str) -> None:
    """Delete an instance; if it is the writer and there are readers, a reader takes its place first."""
    context.require_writable()
    row = context.row_of(cluster)
    while True:
        if require(context, row, name).is_writer and len(context.catalog.instances.of(row.cluster)) > 1:
            failover(context, cluster, None, instead_of=name)
        with context.catalog.transaction():
            instances = require(context, row, name)
            if instances.is_writer and len(context.catalog.instances.of(row.cluster)) > 1:
                continue  # another process has promoted it meanwhile
            context.catalog.instances.remove(instances)
            context.catalog.events.add("instance", name, "deletion", f"instance '{name}' deleted")
            break
    state_of(context, instances).restart()
    agree_with_settings(context, row.cluster)
