"""Looks at the world for the machines, and changes nothing."""
