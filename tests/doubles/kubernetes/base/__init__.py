"""What all rooms of the double speak of: objects, kinds, refusals, quantities and time."""
