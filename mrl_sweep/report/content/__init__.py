"""What a report says: rows, sections, sentences and advice, whatever the format."""
