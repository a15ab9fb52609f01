"""SQLite's features: what works with a file works with a cluster, and with a clone without its source noticing."""
