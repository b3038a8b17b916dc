"""Usage errors of `one-runtime`: Typer's own messages, exit code 2, and no word that could be a secret."""

from typing import Any, Final

import pytest

from tests.command_line import Run, commands

SECRET: Final = "s3cret-Value=9"
TIME: Final = (
    "must be an age such as 90m, 24h or 7d, a date such as 2026-11-25 (UTC), or a time such as 2026-11-25T01:02:03Z."
)
ID: Final = "must be an id that One Runtime printed, such as 01a21077-a507-76f0-a326-42b1c2b20688."
MESSAGES: Final = {
    "organizations create": "Missing argument 'display_name'.",
    "oauth-clients set hubspot": "Missing option '--client-id'.",
    "organizations list --unknown": "No such option: --unknown",
    "--unknown": "No such option: --unknown",
    "connections list --stat active": "No such option: --stat (Possible options: --status)",
    "doctor --js\x1b[2J": "No such option: --js\\x1b[2J",
    "organizations lst": "No such command '…'. Did you mean 'list', 'set'?",
    "organizations it's": 'No such command "…".',
    "connections list --limit": "Option '--limit' requires an argument.",
    "version --json=s3cret": "Option '--json' does not take a value.",
    "version s3cret": "Got unexpected extra argument(s) (…)",
    "version -- -s3cret two": "Got unexpected extra argument(s) (… …)",
    "connections list --status s3cret": "Invalid value for '--status': Value error, '…' is not one of 'active', "
    "'needs_reauth'.",
    "connections list --limit 0": "Invalid value for '--limit': Input should be greater than or equal to 1",
    "events list --since s3cret": f"Invalid value for '--since': {TIME}",
    "sessions list --since 2026-13-01": f"Invalid value for '--since': {TIME}",
    "webhooks replay nothing --since s3cret": f"Invalid value for '--since': {TIME}",
    "connections list --cursor s3cret": f"Invalid value for '--cursor': {ID}",
    "events list --request-id s3cret": f"Invalid value for '--request-id': {ID}",
}
"""The last line of the message, by command line."""


COMMANDS: Final = dict(commands())


@pytest.mark.parametrize("words", MESSAGES)
def test_usage_error_says_what_is_wrong(bare: Run, words: str) -> None:
    assert bare(*words.split(" ")).usage_error == MESSAGES[words]


def test_usage_error_names_the_help_of_the_command(bare: Run) -> None:
    assert "Try 'one-runtime connections list --help' for help." in bare("connections", "list", "--limit", "x").err


def number_of_arguments(command: Any) -> int:
    """Return the number of arguments that a command accepts. -1: any number."""
    counts = [param.nargs for param in command.params if param.param_type_name == "argument"]
    return -1 if -1 in counts else sum(counts)


@pytest.mark.parametrize(
    "words", [words for words, command in COMMANDS.items() if number_of_arguments(command) >= 0], ids=" ".join
)
def test_usage_error_repeats_no_unexpected_argument(bare: Run, words: tuple[str, ...]) -> None:
    arguments = ("value",) * number_of_arguments(COMMANDS[words])
    for extra in (SECRET, f"-- -{SECRET}", f"'{SECRET}", f"\x1b[2J{SECRET}"):
        result = bare(*words, *arguments, *extra.split(" "))
        assert (result.code, SECRET in result.err + result.out) == (2, False)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_usage_error_repeats_no_value_of_an_option(bare: Run, words: tuple[str, ...]) -> None:
    for param in COMMANDS[words].params:
        for option in (name for name in param.opts if name.startswith("--") and name != "--help"):
            for typed in ([option, SECRET, "--unknown"], [f"{option}={SECRET}", "--unknown"], [option, f"-{SECRET}"]):
                result = bare(*words, *typed, *["--unknown"])
                assert (result.code, SECRET in result.err + result.out) == (2, False), typed


def test_no_group_repeats_an_unknown_command(bare: Run) -> None:
    for group in ((), *({(words[0],) for words in COMMANDS if len(words) > 1})):
        result = bare(*group, SECRET)
        assert (result.code, SECRET in result.err + result.out) == (2, False)


def test_group_without_a_subcommand_prints_its_help(bare: Run) -> None:
    result = bare("organizations")
    assert result.code == 2
    assert "Delete an organization" in result.out + result.err
