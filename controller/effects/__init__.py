"""Applies actions: carries out what machines decided. Every action is safe to apply twice."""
