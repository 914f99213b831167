"""The composition roots: what a process is made of, and who applies which action."""
