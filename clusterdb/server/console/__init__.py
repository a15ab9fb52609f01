"""The console of ``clusterdb serve``: pages at ``/`` that show a store and do what the command line does.

site.py       what all pages share: the store, notices, headers, errors as one line
fields.py     the fields of a form or a URL, as values
code.py       an action as a command line, with boto3 and in Python
actions/      the actions: one record for every form that changes something
trees.py      clusters as a tree of clones
charts.py     bars, lines and maps as SVG
databases.py  the list of clusters, new clusters, deletion of several
clusters.py   the pages of one cluster
past.py       versions and snapshots as a line; what going back loses
compare.py    differences between two points
sql/          the query editor
events.py     the stream of what changes
routing.py    the routes

Pages work without scripts; htmx replaces parts of them, and ``static/console.js`` keeps the tabs of the editor.  What a
page shows is in its URL.  Every form carries a token of this process, besides what the application checks of a request.
"""

from __future__ import annotations

from clusterdb.server.console.routing import routes

__all__ = ["routes"]
