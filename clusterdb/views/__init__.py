"""Views: records as text, as rows of a table, and as JSON.

Pure functions, shared by everything that shows records: the command line, its shell, and a server.  They read no store;
``views/cluster.py`` alone gathers what it shows of a cluster.

    text.py         sizes, durations, times, text tables
    grid.py         tables that fit a width, and never cut numbers, dates and headers
    columns.py      the columns that a list shows of each kind of record
    json.py         any record as JSON
    messages.py     what a verb has done, and the footer of a statement
    filters.py      which records a list shows
    tree.py         clusters as a tree of clones, with bars
    points.py       points in the past of a cluster, for completion
    urls.py         the URLs and settings with which programs connect
    cluster.py      everything about one cluster
    rows.py         the rows that a query returns
    checks.py       the report of a check or a repair
    differences.py  a difference between two clusters
    prometheus.py   metrics as a Prometheus text page

Text is for people and may change; the names of JSON fields are the attributes of the records and do not.
"""
