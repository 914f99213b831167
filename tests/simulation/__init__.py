"""The whole controller in a simulated world, on a simulated clock, by seed."""
