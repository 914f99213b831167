"""What operators see of a controller: metrics, and traces of runs and rollouts."""
