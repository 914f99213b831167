"""Checks of a dataset version against the versions before it and against other datasets."""
