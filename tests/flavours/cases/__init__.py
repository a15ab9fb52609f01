"""The SQL of Aurora's engines as a table of cases, which the real servers prove right."""
