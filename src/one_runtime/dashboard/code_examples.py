"""Write the code that makes a request of the playground: for curl, Python and JavaScript."""

import json
import shlex
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode


class CodeExample(NamedTuple):
    """A piece of code. `language`: the name of the program or language."""

    language: str
    code: str


class CodeExamples:
    """Writes examples. The code reads the API key from the environment. `public_url`: the URL of the API."""

    def __init__(self, public_url: str) -> None:
        self._url = public_url

    def list_integrations(self, end_user_id: str, options: Mapping[str, str]) -> list[CodeExample]:
        """Return the code that lists the integrations of an end user."""
        query = urlencode({"end_user_id": end_user_id, **options})
        arguments = {"end_user_id": end_user_id, **options}
        return [
            CodeExample("curl", _curl("GET", f"{self._url}/v1/integrations?{query}")),
            CodeExample(
                "Python",
                self._python(f"for integration in one_runtime.integrations.list({_keywords(arguments)}):")
                + "\n    print(integration.slug, integration.status)",
            ),
            CodeExample(
                "JavaScript",
                self._javascript(f"const integrations = await oneRuntime.integrations.list({_object(arguments)});")
                + "\nconsole.log(integrations);",
            ),
        ]

    def create_session(self, fields: Mapping[str, object]) -> list[CodeExample]:
        """Return the code that creates a session."""
        url = f"{self._url}/v1/hosted-connection-sessions"
        return [
            CodeExample("curl", _curl("POST", url, json.dumps(fields, ensure_ascii=False))),
            CodeExample(
                "Python",
                self._python(f"session = one_runtime.sessions.create({_keywords(fields)})")
                + "\nprint(session.connect_url)",
            ),
            CodeExample(
                "JavaScript",
                self._javascript(f"const session = await oneRuntime.sessions.create({_object(fields)});")
                + "\nconsole.log(session.connectUrl);",
            ),
        ]

    def call_provider(self, end_user_id: str, slug: str, method: str, path: str, body: str) -> list[CodeExample]:
        """Return the code that calls a provider through the proxy."""
        url = f"{self._url}/v1/proxy/{quote(slug)}{path}"
        arguments = f"{_text(method)}, {_text(slug)}, {_text(path)}"
        options: dict[str, object] = {"end_user_id": end_user_id}
        if body:
            options |= {"body": body, "headers": {"Content-Type": "application/json"}}
        python = f"response = one_runtime.proxy.request({arguments}, {_keywords(options)})"
        javascript = f"const response = await oneRuntime.proxy.request({arguments}, {_object(options)});"
        return [
            CodeExample("curl", _curl(method, url, body, f"One-Runtime-End-User: {end_user_id}")),
            CodeExample("Python", self._python(python) + "\nprint(response.text)"),
            CodeExample("JavaScript", self._javascript(javascript) + "\nconsole.log(await response.text());"),
        ]

    def _python(self, line: str) -> str:
        client = f'OneRuntime({_text(self._url)}, os.environ["ONE_RUNTIME_API_KEY"])'
        return f"import os\n\nfrom one_runtime_client import OneRuntime\n\none_runtime = {client}\n{line}"

    def _javascript(self, line: str) -> str:
        client = f"new OneRuntime({{ baseUrl: {_text(self._url)}, apiKey: process.env.ONE_RUNTIME_API_KEY }})"
        return f'import {{ OneRuntime }} from "@one-runtime/client";\n\nconst oneRuntime = {client};\n{line}'


def _curl(method: str, url: str, body: str = "", header: str = "") -> str:
    """Return a command for a POSIX shell."""
    verb = {"GET": "curl", "HEAD": "curl --head"}.get(method, f"curl -X {method}")
    glob = " --globoff" if any(character in url for character in "[]{}") else ""
    lines = [f'{verb}{glob} -H "Authorization: Bearer $ONE_RUNTIME_API_KEY"']
    if header:
        lines.append(f"-H {shlex.quote(header)}")
    if body:
        lines.append(f"-H 'Content-Type: application/json' --data-raw {shlex.quote(body)}")
    return " \\\n  ".join([*lines, shlex.quote(url)])


def _text(value: object) -> str:
    """Return a value as a literal that Python and JavaScript read in the same way. The value contains only texts."""
    return json.dumps(value, ensure_ascii=False)


def _keywords(arguments: Mapping[str, object]) -> str:
    """Return the arguments of a call in Python."""
    return ", ".join(f"{name}={_text(value)}" for name, value in arguments.items())


def _object(arguments: Mapping[str, object]) -> str:
    """Return the arguments of a call as an object in JavaScript."""
    return "{ " + ", ".join(f"{_camel(name)}: {_text(value)}" for name, value in arguments.items()) + " }"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
