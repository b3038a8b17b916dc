"""Usage errors of `one-runtime`: one line in One Runtime's own words, and exit code 2."""

import subprocess
import sys
from typing import Final

import pytest

from tests.command_line import Run

HELP: Final = "Add --help to see the arguments and options of the command."
COMMANDS: Final = "`one-runtime --help` lists the commands."
OF_ORGANIZATIONS: Final = "`one-runtime organizations --help` lists the commands."
TIME: Final = (
    "--since must be an age such as 90m, 24h or 7d, a date such as 2026-11-25 (UTC), or a time such as "
    "2026-11-25T01:02:03Z."
)
ID: Final = "--cursor must be an id that One Runtime printed, such as 01a21077-a507-76f0-a326-42b1c2b20688."
SENTENCES: Final = {
    "organizations create": f"The argument DISPLAY_NAME is missing. {HELP}",
    "catalog show": f"The argument SLUG is missing. {HELP}",
    "backup": f"The argument TARGET is missing. {HELP}",
    "oauth-clients set hubspot": f"The option --client-id is missing. {HELP}",
    "webhooks replay nothing": f"The option --since is missing. {HELP}",
    "organizations list --unknown": f"There is no option --unknown. {HELP}",
    "--unknown": f"There is no option --unknown. {HELP}",
    "-x": f"There is no option -x. {HELP}",
    "connections list --stat active": f"There is no option --stat. Did you mean --status? {HELP}",
    "doctor --js\x1b[2J": f"There is no option --js [2J. {HELP}",
    "unknown": f"There is no such command. {COMMANDS}",
    "organizations lst": f"There is no such command. Did you mean list or set? {OF_ORGANIZATIONS}",
    "organizations it's": f"There is no such command. {OF_ORGANIZATIONS}",
    "connections list --status s3cret": f"The option --status must be one of: active, needs_reauth. {HELP}",
    "webhooks update nothing --status s3cret": f"The option --status must be one of: active, paused. {HELP}",
    "connections list --limit s3cret": f"The option --limit must be a whole number. {HELP}",
    "connections list --limit 0": f"The option --limit must be at least 1. {HELP}",
    "connections list --limit 10001": f"The option --limit must be at most 10000. {HELP}",
    "serve --workers 1.5": f"The option --workers must be a whole number. {HELP}",
    "demo --port 80": f"The option --port must be at least 1024. {HELP}",
    "connections list --limit": f"The option --limit needs a value. {HELP}",
    "copy --to": f"The option --to needs a value. {HELP}",
    "version --json=s3cret": f"The option --json takes no value. {HELP}",
    "version s3cret": f"The command has more arguments than it accepts. Put a value with spaces in quotes. {HELP}",
    "events list --since s3cret": TIME,
    "sessions list --since 2026-13-01": TIME,
    "connections list --cursor s3cret": ID,
}
"""The messages by command line. No message contains a value of an option."""


@pytest.mark.parametrize("words", SENTENCES)
def test_usage_error_is_a_sentence(bare: Run, words: str) -> None:
    result = bare(*words.split(" "))
    assert (result.sentence, result.code) == (SENTENCES[words], 2)


def test_usage_error_imports_no_rich() -> None:
    script = (
        "import atexit, sys; atexit.register(lambda: print('rich' in sys.modules)); "
        "sys.argv = ['one-runtime', 'version', '--unknown']; from one_runtime.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "False\n")


def test_group_without_a_subcommand_prints_its_help(bare: Run) -> None:
    result = bare("organizations")
    assert result.code == 2
    assert "Delete an organization" in result.out + result.err
