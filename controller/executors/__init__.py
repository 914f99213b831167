"""Places that run attempts at steps: local processes, containers; and what they leave."""
