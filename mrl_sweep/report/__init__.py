"""The report: one document, what it says, the files of a run, and one renderer a format."""
