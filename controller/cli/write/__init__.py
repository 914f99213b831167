"""Commands for the author of a spec: init, validate, plan."""
