"""What an API server refuses: schemas, names, labels and rules between fields; and defaults."""
