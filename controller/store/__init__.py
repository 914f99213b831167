"""Durable state: objects, inbox and outbox, changed in one transaction."""
