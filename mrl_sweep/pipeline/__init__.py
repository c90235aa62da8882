"""The main job on one page (`run`), and what it hands from step to step."""
