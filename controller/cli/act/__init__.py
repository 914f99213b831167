"""Commands that act: trigger, retry, abort, approve, promote, rollback, pause, resume."""
