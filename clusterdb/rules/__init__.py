"""Pure rules: legal names, settings and their limits, the status table, points in the past."""
