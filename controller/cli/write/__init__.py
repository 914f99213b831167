"""Commands for writing a spec: init, validate, plan."""
