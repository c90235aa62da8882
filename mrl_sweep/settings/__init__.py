"""Settings: where they come from, how people write them, and the configuration that they make."""
