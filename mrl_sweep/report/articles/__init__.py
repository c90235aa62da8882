"""Documents that are no single run's report: several collections, runs side by side, a plan, a check."""
