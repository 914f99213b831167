"""The controller's settings and secrets, read and checked."""
