"""`python -m azarr.cli` is `azarr`."""

from azarr.cli.app import main

if __name__ == "__main__":
    main()
