"""Measures as values, computed from ranks with their exact expectation under ties."""
