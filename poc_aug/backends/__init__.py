"""Backends: one file an inserter, annotator or locator; heavy imports stay inside."""
