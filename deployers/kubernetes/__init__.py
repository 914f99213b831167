"""Kubernetes: the client of a cluster."""
