"""docs/command-line.md names every command and every option; its examples are run by tests/test_docs.py."""

import re
from typing import Any

import pytest
import typer

from azarr.cli.commands import app
from azarr.cli.console import ORDER
from prose import ROOT

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # pyright: ignore
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_a_section_for_each_command_in_the_order_of_the_help():
    assert list(SECTIONS) == ORDER
    assert set(COMMANDS) == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_each_option_is_in_the_section_and_json_is_everywhere(name: str):
    command = COMMANDS[name]
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts) if option.startswith("--")}
    assert "--json" in options
    assert command.help.endswith(".")
    assert all(each.help for each in command.params)
    for each in command.params:
        spelled = {option for option in (*each.opts, *each.secondary_opts) if option.startswith("--")}
        assert not spelled or "--json" in spelled or any(f"`{option}" in SECTIONS[name] for option in spelled), spelled


def test_the_page_names_no_options_that_are_not_there():
    known = {option for command in COMMANDS.values() for each in command.params for option in (*each.opts, *each.secondary_opts)}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known | {"--help", "--version"}
