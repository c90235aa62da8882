"""The report of a run: its document (report.json), what it says, the run folder, comparisons and plans, a renderer a format."""
