"""``python -m clusterdb``: the command line where another program is called ``clusterdb`` too, as PostgreSQL's is."""

from __future__ import annotations

from clusterdb.cli import main

if __name__ == "__main__":
    main()
