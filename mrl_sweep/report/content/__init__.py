"""The content of a report in any format: its rows, sections, sentences and advice."""
