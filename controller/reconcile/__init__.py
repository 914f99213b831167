"""The loop that reconciles every object: work queue, outbox, stalls."""
