"""The door of the command line: what `azarr` runs. Imports the extra `cli` late, to say so if it is missing."""

import io
import sys

INSTALL_LINE = "pip install 'azarr[cli]'"


def main() -> None:
    """Run the command line with the arguments of the process."""
    try:
        from azarr.cli.commands import app
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("typer", "rich"):
            raise
        sys.exit(f"azarr: the command line needs the package {package!r}, which is not installed: {INSTALL_LINE}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A tree has lines that not every terminal can show.
    app(prog_name="azarr")


if __name__ == "__main__":
    main()
