"""Databases as datasets: what version their rows have, and the rows as one Parquet file."""

ADDRESS = "HEADGATE_DATABASE"
"""The variable with the address, for the process that takes the rows."""
MOVED = 75
"""What that process ends with where the rows changed while it took them; EX_TEMPFAIL."""
