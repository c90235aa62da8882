"""Where pure functions run over shards."""
