"""What every team of the company shares."""
