"""`azarr reference` where kerchunk is not installed; what it makes is in `tests/interop/test_making_references.py`."""

from pathlib import Path

from typer.testing import CliRunner

from azarr.cli.commands import app


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(tmp_path: Path):
    (tmp_path / "a.nc").write_bytes(b"")
    result = CliRunner().invoke(app, ["reference", str(tmp_path / "a.nc")])
    assert result.exit_code == 1
    assert result.stderr == (
        "azarr: making references needs the package 'kerchunk', which is not installed: pip install 'azarr[reference-making]'\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]
