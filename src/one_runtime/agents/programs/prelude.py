"""Code that runs in the interpreter before the program. The code defines the modules that a program can import.

Monty has no exception classes of a program's own, and no attributes of exceptions. So three exceptions of the standard
library, which nothing else raises in Monty, act as `ApiError`, `ConnectRequired` and `CallRefused`.

Values are JSON text at the boundary of the interpreter, because a value of Monty can need 20 times its size there.
"""

from collections.abc import Mapping, Sequence
from typing import Final

MODULE: Final = "one_runtime"
SEND: Final = "_send"
"""Name of the function that the code calls for each request to the host."""
API_ERROR: Final = "binascii.Incomplete"
CONNECT_REQUIRED: Final = "decimal.Clamped"
CALL_REFUSED: Final = "decimal.Subnormal"

DISPLAYED: Final = {API_ERROR: "ApiError", CONNECT_REQUIRED: "ConnectRequired", CALL_REFUSED: "CallRefused"}
"""Names of exceptions in the interpreter, and their names in programs."""


def displayed(text: str) -> str:
    """Replace the interpreter's names of exceptions by the names in programs."""
    for name, shown in DISPLAYED.items():
        text = text.replace(name, shown)
    return text


_CODE: Final = """
import json as _json
from binascii import Incomplete as _ApiError
from collections import namedtuple as _namedtuple
from decimal import Clamped as _ConnectRequired, Subnormal as _CallRefused

_made = 0
_started = 0
_Response = _namedtuple("Response", "status headers data")


class _Module:
    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"<module '{self._name}'>"


def _data(text):
    if not text:
        return None
    try:
        return _json.loads(text)
    except ValueError:
        return text


def _response_of(error):
    message = str(error)
    start = message.find(": ")
    return _Response(int(message[:3]), {}, _data(message[start + 2:]) if start >= 0 else None)


def _prepare(send, functions):
    async def ask(name, arguments):
        global _started
        _started += 1
        status, headers, text = await send(name, _json.dumps(arguments))
        return _Response(status, headers, _data(text))

    async def data_of(name, arguments):
        return (await ask(name, arguments)).data

    def count():
        global _made
        _made += 1

    def call(integration, method, path, query=None, body=None, connection=None):
        count()
        return ask("call", {"integration": integration, "method": method, "path": path, "query": query, "body": body,
                            "connection": connection})

    def connections():
        count()
        return data_of("connections", {})

    def function(module, name, parameters):
        def called(*values, **arguments):
            count()
            if len(values) > len(parameters):
                raise TypeError(f"{module}.{name}() takes at most {len(parameters)} arguments.")
            for parameter, value in zip(parameters, values):
                if parameter in arguments:
                    raise TypeError(f"{module}.{name}() got two values for {parameter}.")
                arguments[parameter] = value
            return data_of(f"{module}.{name}", arguments)
        return called

    main = _Module("one_runtime")
    main.call = call
    main.connections = connections
    main.response_of = _response_of
    main.Response = _Response
    main.ApiError = _ApiError
    main.ConnectRequired = _ConnectRequired
    main.CallRefused = _CallRefused
    modules = [main]
    for module, names in functions:
        imported = _Module(module)
        for name, parameters in names:
            setattr(imported, name, function(module, name, parameters))
        modules.append(imported)
    return modules
"""


def prelude(functions: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Return the code. Its value is a list of the modules: `one_runtime`, then the modules of `functions` in order.

    `functions`: for each module, the names of the functions with the names of their parameters.
    """
    listed = [(module, [(name, list(names)) for name, names in each.items()]) for module, each in functions.items()]
    return f"{_CODE}\n_modules = _prepare(_send, {listed!r})\n_modules\n"


FORGOTTEN: Final = "_made - _started"
"""Code whose value is the number of calls without `await`."""
