"""Ranking measures (nDCG, recall, MRR, MAP ...): their names, and their values from ranks, as exact expectations under ties."""
