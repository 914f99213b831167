"""Code that all teams of the company share."""
