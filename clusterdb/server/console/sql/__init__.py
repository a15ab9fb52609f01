"""The query editor: running statements on a cluster or at a point in its past.

statements.py  texts: statements of a script, parameters, what a statement risks
sessions.py    a connection for one run, with the SQL of the cluster's engine
running.py     runs, which can be cancelled, and what they return
editor.py      the pages and parts of the editor
exporting.py   all rows of a query as CSV or JSON, in a stream
trying.py      statements that risk much: on a throwaway clone first
"""
