"""PURE. Repositories: branches, pull requests, and what people ask for there."""
