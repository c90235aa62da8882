"""The decision: confidence limits, the walk over sizes, slices, the comparison of runs, and the verdict that these support."""
