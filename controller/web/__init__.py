"""The HTTP server of the controller."""
