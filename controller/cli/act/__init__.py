"""Commands that steer: trigger, retry, abort, approve, promote, rollback, pause, resume."""
