"""GitHub: its API behind `client.Client`, and its webhooks."""
