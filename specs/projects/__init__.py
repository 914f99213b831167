"""What a commit says of the environment that its steps run in: requirements, projects, locks."""
