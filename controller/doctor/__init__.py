"""Looks at what Headgate needs, and names the mend of what is wrong."""
