"""The story of a run: read, profile, find duplicates, clean, write, report."""
