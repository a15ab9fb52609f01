"""PostgreSQL, as Aurora PostgreSQL has it: its types, its rules by the kind of node, and its functions in Python."""
