"""Serving by KServe: one InferenceService for each environment of a pipeline."""
