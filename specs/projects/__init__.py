"""The environment that a commit defines for its steps: requirements, projects, locks."""
