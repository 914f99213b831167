"""Nodes: where pods are placed, run as processes or played by a script, and lost."""
