"""Checks everything that Headgate needs, and says how to fix what is wrong."""
