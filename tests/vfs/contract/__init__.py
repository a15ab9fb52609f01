"""The contract of every method of the VFS and its files, called as SQLite calls them but without SQLite between.

Numbers and names are those of https://sqlite.org/c3ref/io_methods.html and https://sqlite.org/c3ref/vfs.html .
"""
