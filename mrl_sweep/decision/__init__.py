"""From scores to a verdict that the data support: bounds, order of tests, slices, evidence."""
