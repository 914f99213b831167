"""Commands that look and change nothing: status, runs, show, logs, explain, models, releases."""
