"""The command line of azarr. Knows the public API of azarr, typer and rich; nothing in azarr knows it."""
