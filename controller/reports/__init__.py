"""Reports on commits: the plan while a run is in progress, the gates' verdicts when it ends."""
