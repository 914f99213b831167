"""Commands about the state as a whole: to carry it elsewhere, to back it up, to restore it."""
