"""What is made of runs: several of them together, and finished ones opened again to judge, compare and plan."""
