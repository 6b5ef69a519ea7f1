"""`python -m jaxrl_suite.cli` is `jaxrl`."""

from jaxrl_suite.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
