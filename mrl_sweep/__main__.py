"""`python -m mrl_sweep`."""

from mrl_sweep.cli import main

if __name__ == "__main__":
    main()
