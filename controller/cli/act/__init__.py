"""Commands that act: trigger, retry, abort, accept, approve, promote, rollback, pause, resume."""
