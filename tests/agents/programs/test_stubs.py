"""Signatures and stub files: names that Python accepts, types, defaults."""

from one_runtime.agents.programs.host import FunctionParameter, ModuleFunction, ProgramModule
from one_runtime.agents.programs.stubs import identifier, module_name, parameter_names, signature, stub
from tests.agents.programs.acme_host import ACME_CRM


def test_names_that_python_does_not_accept_get_the_nearest_name() -> None:
    names = {
        "hubspot": "hubspot",
        "google-calendar": "google_calendar",
        "15five": "_15five",
        "from": "from_",
        "None": "None_",
        "filter[status]": "filter_status",
        "$select": "select",
        "größe": "gr_e",
        "---": "_",
        "": "_",
        'x) -> Any: ...\nimport os  # "': "x_Any_import_os",
    }
    assert {name: identifier(name) for name in names} == names
    assert module_name("google-calendar") == "google_calendar"


def test_required_parameters_stand_first_and_equal_names_get_a_number() -> None:
    function = ModuleFunction(
        "search",
        (
            FunctionParameter("a-b", "string"),
            FunctionParameter("a_b", "integer", required=True),
            FunctionParameter("a.b", "boolean", required=True),
        ),
    )
    assert {name: parameter.name for name, parameter in parameter_names(function).items()} == {
        "a_b": "a_b",
        "a_b_2": "a.b",
        "a_b_3": "a-b",
    }


def test_a_signature_has_types_and_defaults() -> None:
    defaults = ("text", 5, 2.5, True, None, [1], {"a": 1}, "long" * 40)
    types = ("string", "integer", "number", "boolean", "any", "array", "object", "string")
    parameters = tuple(
        FunctionParameter(f"p{number}", type_, default=default)  # type: ignore[arg-type] # names of types
        for number, (type_, default) in enumerate(zip(types, defaults, strict=True))
    )
    assert signature(ModuleFunction("f", parameters)) == (
        "f(p0: str = 'text', p1: int = 5, p2: float = 2.5, p3: bool = True, p4: Any = None, "
        "p5: list[Any] = ..., p6: dict[str, Any] = ..., p7: str = ...)"
    )


def test_the_stub_file_of_a_module_has_one_line_for_each_function() -> None:
    assert stub(ACME_CRM).splitlines() == [
        "from typing import Any",
        f"async def {signature(ACME_CRM.functions[0])} -> Any: ...",
        "async def contacts_get(id: int) -> Any: ...",
        "async def contacts_create(properties: dict[str, Any], from_: str | None = None) -> Any: ...",
    ]


def test_the_text_of_a_document_cannot_add_code_to_a_stub_file() -> None:
    evil = 'a"""\nimport os\nx = """'
    module = ProgramModule("evil", (ModuleFunction(evil, (FunctionParameter(evil, "string", default=evil),)),))
    assert stub(module).splitlines()[1:] == [
        'async def a_import_os_x(a_import_os_x: str = \'a"""\\nimport os\\nx = """\') -> Any: ...'
    ]
