"""The tables of ``catalog.db``."""

from __future__ import annotations

__all__ = ["ADDITIONS", "APPLICATION_ID", "FORMAT", "PINNED_VERSIONS", "SCHEMA"]

FORMAT = 2
APPLICATION_ID = 0x636C7374  # "clst"

ADDITIONS = """
CREATE INDEX IF NOT EXISTS released_pins ON pins (volume, version) WHERE released;
CREATE TABLE IF NOT EXISTS sealed (
    volume INTEGER PRIMARY KEY,
    version INTEGER NOT NULL                   -- was on the device when the store was closed
);
CREATE TABLE IF NOT EXISTS documents (
    cluster INTEGER NOT NULL,                  -- 0: of the store
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,                        -- a JSON object
    PRIMARY KEY (cluster, kind, name)
) WITHOUT ROWID;
"""
"""Additions to the format, which are created when a store without them is opened for writing."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE store (id BLOB NOT NULL, created_ns INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE volumes (
    volume INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    row INTEGER NOT NULL,                      -- in the volume table, and lock byte
    head_slot INTEGER NOT NULL,
    state TEXT NOT NULL,
    parent INTEGER,                            -- the volume that it was cloned from, pinned at the base's version
    base BLOB NOT NULL,                        -- version record
    retained INTEGER NOT NULL                  -- the oldest past version that is kept; 0: none
);
CREATE TABLE pins (
    volume INTEGER NOT NULL,
    version INTEGER NOT NULL,
    holder TEXT NOT NULL,                      -- 'volume:N' for the base of a clone
    released INTEGER NOT NULL,
    record BLOB NOT NULL,                      -- version record
    PRIMARY KEY (volume, version, holder)
) WITHOUT ROWID;
CREATE TABLE absorbed (
    volume INTEGER PRIMARY KEY,                -- deleted; the clone that was based on it has replaced it
    version INTEGER NOT NULL                   -- the version that the clone was based on
);
CREATE TABLE clusters (
    cluster INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused
    name TEXT NOT NULL UNIQUE,
    volume INTEGER NOT NULL UNIQUE,            -- changes when the cluster is reset or backtracked
    created_ns INTEGER NOT NULL,
    source TEXT,                               -- the name, at that time, of the cluster that it was cloned from
    source_cluster INTEGER,
    clone_group TEXT NOT NULL,                 -- shared by a cluster and all its clones
    status TEXT NOT NULL,
    settings TEXT NOT NULL,                    -- JSON, see settings.py
    used_ns INTEGER NOT NULL                   -- the approximate time of the last connection
);
CREATE TABLE pasts (
    volume INTEGER PRIMARY KEY,                -- was the cluster's until it was reset or backtracked
    cluster INTEGER NOT NULL,
    until_ns INTEGER NOT NULL
);
CREATE TABLE snapshots (
    snapshot INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL,                     -- its name at that time
    volume INTEGER NOT NULL,                   -- pinned at version by 'snapshot:N'
    version INTEGER NOT NULL,
    taken_ns INTEGER NOT NULL,                 -- the time of the version
    created_ns INTEGER NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE instances (
    instance INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    cluster INTEGER NOT NULL,
    is_writer INTEGER NOT NULL,
    class TEXT NOT NULL,
    tier INTEGER NOT NULL,
    zone TEXT NOT NULL,
    lag_ns INTEGER NOT NULL,
    jitter_ns INTEGER NOT NULL,
    row INTEGER NOT NULL UNIQUE                -- in the instance table
);
CREATE TABLE endpoints (
    cluster INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    members TEXT NOT NULL,                     -- JSON lists of instance names
    excluded TEXT NOT NULL,
    PRIMARY KEY (cluster, name)
) WITHOUT ROWID;
CREATE TABLE events (
    event INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,                        -- of its source: cluster, instance, snapshot
    source TEXT NOT NULL,                      -- the name of the source
    category TEXT NOT NULL,
    message TEXT NOT NULL
);
{ADDITIONS}"""


PINNED_VERSIONS = """
WITH RECURSIVE pinned(version) AS (
    SELECT (SELECT version FROM pins WHERE volume = ?1 {0} ORDER BY version LIMIT 1)
    UNION ALL
    SELECT (SELECT version FROM pins WHERE volume = ?1 AND version > pinned.version {0} ORDER BY version LIMIT 1)
    FROM pinned WHERE pinned.version IS NOT NULL
) SELECT version FROM pinned WHERE version IS NOT NULL
"""
"""The distinct pinned versions: a search in the index for each version, instead of a scan of all its pins."""
