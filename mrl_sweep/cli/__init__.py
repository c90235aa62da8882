"""The command line: `main()` is the one boundary where errors become exit codes."""
