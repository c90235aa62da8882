"""Executors that count shards: threads of this process, a Ray cluster, or one part of several."""
