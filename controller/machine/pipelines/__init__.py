"""PURE. Pipelines: commits, data and wishes in; runs and model versions out."""
