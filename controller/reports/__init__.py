"""What is said on a commit: the plan while a run goes on, the gates' verdicts at its end."""
