"""Hostile programs: each uses up time, memory, calls or output, or tries to leave the sandbox."""

from dataclasses import dataclass
from typing import Final

from one_runtime.agents.programs.outcome import FailureKind
from tests.agents.programs.acme_host import IMPORTS


@dataclass(frozen=True, slots=True)
class Hostile:
    """A program, and the required outcome. `kind`: None if the program may finish. `words`: part of the message."""

    code: str
    kind: FailureKind | None = "limit"
    words: str = ""
    slow: bool = False
    """True if the program needs more than 0.3 seconds even with short limits. Such programs run in `make soak`."""


CPU: Final = "computed for more than"
MEMORY: Final = "of memory"

HOSTILE: Final[dict[str, Hostile]] = {
    # time
    "endless loop": Hostile("while True:\n    pass", words=CPU),
    "endless loop that catches everything": Hostile(
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        words=CPU,
        slow=True,
    ),
    "endless recursion of a generator": Hostile("x = [1]\nfor item in x:\n    x.append(item)", words="", slow=True),
    "power of a power": Hostile("print(10 ** (10 ** 8))"),
    "huge power of two": Hostile("2 ** (2 ** 40)", kind=None),
    "huge shift": Hostile("1 << (10 ** 12)", kind=None),
    "factorial": Hostile("import math\nmath.factorial(10 ** 6)", kind=None, slow=True),
    "long number": Hostile("[10 ** 5000, {3 ** 9999: 2 ** 20000}]", kind=None),
    "remainder of powers": Hostile("pow(3, 10 ** 7, 10 ** 1000000 + 1)", kind=None, slow=True),
    "backtracking of a pattern": Hostile('import re\nre.match(r"(a+)+$", "a" * 40 + "b")', kind=None),
    "backtracking with a reference": Hostile('import re\nre.match(r"(a*)*\\1b", "a" * 5000)', kind=None),
    "infinite iterator": Hostile("import itertools\nlist(itertools.count())", slow=True),
    "sum of an infinite iterator": Hostile("import itertools\nsum(itertools.repeat(1))", slow=True),
    "product of products": Hostile("import itertools\nlen(list(itertools.product(range(100), repeat=6)))", slow=True),
    "sort of 10^8 numbers": Hostile("sorted(range(10 ** 8))"),
    "quadratic text": Hostile("x = ''\nwhile True:\n    x = x + 'ab'", slow=True),
    "comparison of nested lists": Hostile(
        "a = []\nb = []\nfor i in range(150):\n    a = [a, a]\n    b = [b, b]\na == b", kind=None, slow=True
    ),
    "hash of nested tuples": Hostile("a = ()\nfor i in range(150):\n    a = (a, a)\nhash(a)", kind=None),
    "long sleep": Hostile("import time\nfor i in range(100):\n    time.sleep(1)", words="slept longer", slow=True),
    "long sleep of asyncio": Hostile(
        "import asyncio\nawait asyncio.gather(*[asyncio.sleep(2) for i in range(50)])", words="slept longer"
    ),
    "sleep without end": Hostile(
        "import time\ntime.sleep(10 ** 9)\ntime.sleep(10 ** 9)\ntime.sleep(10 ** 9)", slow=True
    ),
    "negative sleep": Hostile("import asyncio\nawait asyncio.sleep(-5)\n1", kind=None),
    "sleep that is no number": Hostile("import asyncio\nexec(\"import time; time.sleep(float('nan'))\")", kind=None),
    # memory
    "text of 10 GB": Hostile("'a' * 10 ** 10", words=MEMORY),
    "list of 10^9 items": Hostile("[0] * 10 ** 9", words=MEMORY),
    "text that doubles": Hostile("x = 'a'\nwhile True:\n    x = x + x", words="more than"),
    "list that doubles": Hostile("x = [0]\nwhile True:\n    x = x + x", words="more than", slow=True),
    "dictionary of 10^8 items": Hostile("{i: i for i in range(10 ** 8)}", slow=True),
    "set of 10^8 items": Hostile("set(range(10 ** 8))"),
    "nested lists": Hostile("x = []\nwhile True:\n    x = [x]", slow=True),
    "padding": Hostile("'a'.ljust(10 ** 10)", words=MEMORY),
    "format width": Hostile("f'{1:{10 ** 10}}'", kind=None),
    "replace": Hostile("('a' * 10 ** 6).replace('a', 'b' * 10 ** 6)", words="more than"),
    "join": Hostile("'x'.join(['a' * 10 ** 6] * 10 ** 4)", words="more than"),
    "bytes": Hostile("bytes(10 ** 10)", kind=None),
    "deep JSON": Hostile("import json\njson.loads('[' * 10 ** 5)", kind=None),
    "wide JSON": Hostile("import json\njson.loads('[' + '0,' * 10 ** 7 + '0]')", words="more than", slow=True),
    "JSON of shared lists": Hostile(
        "import json\nx = []\nfor i in range(60):\n    x = [x, x]\njson.dumps(x)", kind=None, slow=True
    ),
    # recursion
    "recursion": Hostile("def f():\n    f()\nf()", words="levels deep"),
    "recursion of two functions": Hostile("def f():\n    g()\ndef g():\n    f()\nf()", words="levels deep"),
    "recursion of repr": Hostile(
        "class A:\n    def __repr__(self):\n        return repr(self)\nrepr(A())", words="levels deep"
    ),
    "recursion of a key": Hostile("def f(x):\n    return sorted([x], key=f)\nf(1)", words="levels deep"),
    "recursion of coroutines": Hostile("async def f():\n    await f()\nawait f()", words="levels deep"),
    # text of the program
    "3000 brackets": Hostile("(" * 3000 + ")" * 3000, kind="syntax"),
    "3000 unclosed brackets": Hostile("[" * 3000, kind="syntax"),
    "10000 signs": Hostile("-" * 10000 + "1", kind=None),
    "long chain of attributes": Hostile("x = 1\nx" + ".a" * 10000, kind=None),
    "long chain of operators": Hostile("1" + "+1" * 10000, kind=None),
    "nested functions": Hostile(
        "\n".join("  " * depth + f"def f{depth}():" for depth in range(99)) + " pass", kind=None, slow=True
    ),
    "nested lambdas": Hostile("lambda: " * 3000 + "1", kind=None),
    "nested f-strings": Hostile("f'{" * 100 + "1" + "}'" * 100, kind=None),
    "many names": Hostile("\n".join(f"x{number} = {number}" for number in range(1800)), kind=None),
    "union of types": Hostile(
        "x = 0\n" + "\n".join(f"if x == {number}:\n    x = ({number}, x)" for number in range(700)),
        kind=None,
        slow=True,
    ),
    "program of 33 kB": Hostile("#" * 33_000, words="bytes"),
    "NUL characters": Hostile("x = 1\0\0\n", kind=None),
    "lone surrogate": Hostile("x = '\ud800'", kind=None),
    # output
    "100000 lines": Hostile("for i in range(10 ** 5):\n    print(i)", kind=None),
    "line of 20 MB": Hostile("print('a' * 20_000_000)", kind=None),
    "result of 20 MB": Hostile("'a' * 20_000_000", kind=None),
    "result of 500000 items": Hostile("[None] * 500_000", kind=None, slow=True),
    "result of shared lists": Hostile("x = []\nfor i in range(60):\n    x = [x, x]\nx", kind=None, slow=True),
    "result that contains itself": Hostile("x = []\nx.append(x)\nx", kind=None),
    "result of shared keys": Hostile("x = ()\nfor i in range(60):\n    x = (x, x)\n[{'a': x}]", kind=None, slow=True),
    "result with nested tuples as keys": Hostile(
        "x = ()\nfor i in range(60):\n    x = (x, x)\n{x: 1}", words="result is too complex", slow=True
    ),
    "exception of 20 MB": Hostile("raise ValueError('a' * 20_000_000)", kind="exception", words="cut", slow=True),
    # calls
    "1000 calls": Hostile(
        f"{IMPORTS}for i in range(1000):\n    await call('acme-crm', 'GET', '/')",
        words="more than 300 calls",
        slow=True,
    ),
    "1000 calls at once": Hostile(
        f"{IMPORTS}await asyncio.gather(*[call('acme-crm', 'GET', '/') for i in range(1000)])", words="calls"
    ),
    "arguments of 10 MB": Hostile(
        f"{IMPORTS}await call('acme-crm', 'POST', '/', body='a' * 10_000_000)", kind="exception", words="bytes as JSON"
    ),
    "arguments of 100 MB in total": Hostile(
        f"{IMPORTS}for i in range(200):\n    await call('acme-crm', 'POST', '/', body='a' * 200_000)", words="arguments"
    ),
    "calls that nothing awaits": Hostile(
        f"{IMPORTS}x = [call('acme-crm', 'POST', '/') for i in range(10_000)]\nlen(x)", kind=None
    ),
    "10000 imports": Hostile("for i in range(10_000):\n    import acme_crm", words="imports", slow=True),
    "10000 unknown names": Hostile(
        "for i in range(10_000):\n    try:\n        exec('unknown')\n    except NameError:\n        pass",
        words="names",
        slow=True,
    ),
    "replaced function of the prelude": Hostile(
        f"{IMPORTS}exec('_made = None\\n_json = None\\n_modules = None')\nawait call('acme-crm', 'GET', '/')",
        kind="exception",
    ),
    "sleep by the prelude's own function": Hostile(
        'await eval(\'_send("sleep", "x")\')', kind="exception", words="TypeError: The arguments are not JSON"
    ),
    "lone surrogate in the arguments": Hostile(
        r'''await eval(r"""_send('call', r'{"path": "\ud800"}')""")''', kind="exception", words="not JSON in UTF-8"
    ),
    "too many values in the arguments": Hostile(
        f"{IMPORTS}await call('acme-crm', 'GET', '/', query={{'ids': [1] * 20_000}})",
        kind="exception",
        words="at most 10,000 values",
    ),
    "call of the prelude's own function": Hostile("exec('_send([1] * 1000, 2)')", kind=None),
    # the outside
    "/etc/passwd": Hostile("exec(\"open('/etc/passwd').read()\")", kind="exception", words="PermissionError"),
    "path": Hostile("from pathlib import Path\nPath('/etc/passwd').read_text()", kind="exception", words="Permission"),
    "folder": Hostile("import os\nos.listdir('/')", kind="exception"),
    "environment": Hostile("import os\nos.environ['PATH']", kind="exception", words="not supported"),
    "environment by getenv": Hostile("import os\nos.getenv('PATH')", kind="exception"),
    "socket": Hostile("import socket", kind="types", words="line 1, column 8"),
    "subprocess": Hostile("exec('import subprocess')", kind="exception", words="ModuleNotFoundError"),
    "import function": Hostile("exec(\"__import__('os').system('id')\")", kind="exception", words="NameError"),
    "eval": Hostile("eval('1 + 1')", kind=None),
    "subclasses": Hostile("().__class__.__base__.__subclasses__()", kind="types"),
    "names of the prelude": Hostile("locals()", kind="exception", words="Return only the instances"),
    "class before its instance": Hostile("class A:\n    pass\n[A, A()]", kind="exception", words="before an instance"),
    "globals of a function": Hostile("def f(): pass\nexec('f.__globals__')", kind="exception"),
    "fetch_url": Hostile("exec(\"fetch_url('http://127.0.0.1/')\")", kind="exception", words="NameError"),
}
