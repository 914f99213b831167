"""What a commit would run and why, for `headgate plan` and pull requests."""
