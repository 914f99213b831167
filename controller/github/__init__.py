"""GitHub: its API behind `client.Client`, its webhooks, and what is reported and read there."""
