"""The patches: JSON, merge, strategic merge and server-side apply with its managed fields."""
