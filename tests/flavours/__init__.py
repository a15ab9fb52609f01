"""The SQL of Aurora's engines as a table of cases, and the real servers that prove the table right."""
