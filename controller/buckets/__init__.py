"""Datasets: listing them, pinning exactly what was listed, and finding versions by digest."""
