"""The API server: verbs, subresources, authorization, admission, faults, and HTTP."""
