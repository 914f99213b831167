"""Applies actions: what machines decided is done to the world here, safe to apply twice."""
