"""MySQL, as Aurora MySQL has it: its types, its rules by the kind of node, and its functions in Python."""
