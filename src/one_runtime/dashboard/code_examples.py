"""Write the code that makes a request of the playground: for curl, Python and JavaScript."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

_WIDTH: Final = 56
"""Characters of a line beside the form. A longer call has one argument per line."""

_PYTHON_CLIENT: Final = "pip install ./clients/python"
_JAVASCRIPT_CLIENT: Final = "npm pack ./clients/js && npm install ./one-runtime-client-0.1.0.tgz"


class CodeExample(NamedTuple):
    """A piece of code.

    `language`: the name of the program or language. `install`: the command that installs the client, or an empty text.
    """

    language: str
    code: str
    install: str = ""


class CodeExamples:
    """Writes examples. The code reads the API key from the environment. `public_url`: the URL of the API."""

    def __init__(self, public_url: str) -> None:
        self._url = public_url

    def list_integrations(self, end_user_id: str, options: Mapping[str, str]) -> list[CodeExample]:
        """Return the code that lists the integrations of an end user."""
        query = {"end_user_id": end_user_id, **options}
        return [
            CodeExample("curl", _curl("GET", f"{self._url}/v1/integrations?{urlencode(query)}")),
            CodeExample(
                "Python",
                self._python("for integration in one_runtime.integrations.list(", _keywords(query), "):")
                + "\n    print(integration.slug, integration.status)",
                _PYTHON_CLIENT,
            ),
            CodeExample(
                "JavaScript",
                self._javascript("const integrations = await oneRuntime.integrations.list({", _members(query), "});")
                + "\nconsole.log(integrations);",
                _JAVASCRIPT_CLIENT,
            ),
        ]

    def create_session(self, fields: Mapping[str, object]) -> list[CodeExample]:
        """Return the code that creates a session."""
        url = f"{self._url}/v1/hosted-connection-sessions"
        return [
            CodeExample("curl", _curl("POST", url, json.dumps(fields, ensure_ascii=False))),
            CodeExample(
                "Python",
                self._python("session = one_runtime.sessions.create(", _keywords(fields), ")")
                + "\nprint(session.connect_url)",
                _PYTHON_CLIENT,
            ),
            CodeExample(
                "JavaScript",
                self._javascript("const session = await oneRuntime.sessions.create({", _members(fields), "});")
                + "\nconsole.log(session.connectUrl);",
                _JAVASCRIPT_CLIENT,
            ),
        ]

    def call_provider(self, end_user_id: str, slug: str, method: str, path: str, body: str) -> list[CodeExample]:
        """Return the code that calls a provider through the proxy."""
        url = f"{self._url}/v1/proxy/{quote(slug)}{path}"
        arguments = [_text(method), _text(slug), _text(path)]
        options: dict[str, object] = {"end_user_id": end_user_id}
        if body:
            options |= {"body": body, "headers": {"Content-Type": "application/json"}}
        python = self._python("response = one_runtime.proxy.request(", [*arguments, *_keywords(options)], ")")
        members = _call("{", _members(options), "}", "  ")
        javascript = self._javascript("const response = await oneRuntime.proxy.request(", [*arguments, members], ");")
        return [
            CodeExample("curl", _curl(method, url, body, f"One-Runtime-End-User: {end_user_id}")),
            CodeExample("Python", python + "\nprint(response.text)", _PYTHON_CLIENT),
            CodeExample("JavaScript", javascript + "\nconsole.log(await response.text());", _JAVASCRIPT_CLIENT),
        ]

    def _python(self, start: str, arguments: Sequence[str], end: str) -> str:
        """Return a program with a call, whose arguments are between `start` and `end`."""
        client = _call("one_runtime = OneRuntime(", [_text(self._url), 'os.environ["ONE_RUNTIME_API_KEY"]'], ")")
        call = _call(start, arguments, end)
        return f"import os\n\nfrom one_runtime_client import OneRuntime\n\n{client}\n{call}"

    def _javascript(self, start: str, arguments: Sequence[str], end: str) -> str:
        """Return a program with a call, whose arguments are between `start` and `end`."""
        options = [f"baseUrl: {_text(self._url)}", "apiKey: process.env.ONE_RUNTIME_API_KEY"]
        client = _call("const oneRuntime = new OneRuntime({", options, "});", "  ")
        call = _call(start, arguments, end, "  ")
        return f'import {{ OneRuntime }} from "@one-runtime/client";\n\n{client}\n{call}'


def _call(start: str, arguments: Sequence[str], end: str, indent: str = "    ") -> str:
    """Return a call in one line, or with one argument per line if the line is too long."""
    space = " " if start.endswith("{") else ""
    line = f"{start}{space}{', '.join(arguments)}{space}{end}"
    if len(line) <= _WIDTH:
        return line
    lines = [argument.replace("\n", f"\n{indent}") for argument in arguments]
    return f"{start}\n" + "".join(f"{indent}{line},\n" for line in lines) + end


def _curl(method: str, url: str, body: str = "", header: str = "") -> str:
    """Return a command for a POSIX shell."""
    verb = {"GET": "curl", "HEAD": "curl --head"}.get(method, f"curl -X {method}")
    glob = " --globoff" if any(character in url for character in "[]{}") else ""
    lines = [f"{verb}{glob}", '-H "Authorization: Bearer $ONE_RUNTIME_API_KEY"']
    if verb == "curl":
        lines = [" ".join(lines)]
    if header:
        lines.append(f"-H {shlex.quote(header)}")
    if body:
        lines += ["-H 'Content-Type: application/json'", f"--data-raw {shlex.quote(body)}"]
    return " \\\n  ".join([*lines, shlex.quote(url)])


def _text(value: object) -> str:
    """Return a value as a literal that Python and JavaScript read in the same way. The value contains only texts."""
    return json.dumps(value, ensure_ascii=False)


def _keywords(arguments: Mapping[str, object]) -> list[str]:
    """Return the arguments of a call in Python."""
    return [f"{name}={_text(value)}" for name, value in arguments.items()]


def _members(arguments: Mapping[str, object]) -> list[str]:
    """Return the members of an object in JavaScript."""
    return [f"{_camel(name)}: {_text(value)}" for name, value in arguments.items()]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
