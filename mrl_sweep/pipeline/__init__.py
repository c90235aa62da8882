"""The pipeline of the main job: `run` has it on one page, the other modules hold its steps."""
