"""Databases as datasets: the version of a query's rows, and the rows as one Parquet file."""

ADDRESS = "HEADGATE_DATABASE"
"""The environment variable with the database's address, for the process that fetches the rows."""
ROWS_CHANGED = 75
"""The exit code of that process if the rows changed while it fetched them; EX_TEMPFAIL."""
