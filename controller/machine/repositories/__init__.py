"""PURE. Repositories: branches, pull requests, and the commands that people give there."""
