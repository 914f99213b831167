"""Tells people: one incident to one address at a time, once."""
