"""Notice that something may have happened: git, buckets, queues, schedules. Hints, never truth."""
