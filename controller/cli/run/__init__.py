"""Commands that run things: run, up, down, doctor."""
