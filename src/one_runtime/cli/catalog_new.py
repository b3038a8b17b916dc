"""`one-runtime catalog new`: create an entry from the answers to a few questions."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from one_runtime.catalog import parts
from one_runtime.catalog.auth_types import AUTH_TYPES, AuthType
from one_runtime.catalog.model import CATEGORIES, Category, Description, Slug, is_custom
from one_runtime.catalog.source import in_our_words
from one_runtime.catalog.tools.scaffold import ScaffoldInputs, scaffold
from one_runtime.cli.options import AsJson
from one_runtime.cli.partial_settings import allows_http
from one_runtime.cli.terminal import print_json
from one_runtime.errors import InvalidInput

app = typer.Typer()


def _words(text: object) -> object:
    return tuple(text.replace(",", " ").split()) if isinstance(text, str) else text


_AuthTypes: TypeAlias = Annotated[tuple[AuthType, ...], BeforeValidator(_words), Field(min_length=1)]


@app.command("new")
def new_entry(
    file: Annotated[Path | None, typer.Argument(help="File to write; default: <slug>.yaml in this folder.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask a few questions and write a first version of an entry."""
    slug, target = _ask_and_write(file)
    if as_json:
        print_json({"integration_slug": slug, "output": str(target)})
        return
    typer.echo(
        f"Wrote {target}. Follow the instructions at the top of the file. Then run: one-runtime catalog check {target}"
    )


def _ask_and_write(file: Path | None) -> tuple[str, Path]:
    """Ask a few questions, and write a first version of an entry. Return its slug and its file. Raises: InvalidInput.

    `file`: the file to write, or None for `<slug>.yaml` in the working directory.
    """
    slug = _prompt("Slug, such as example-desk (for a custom integration: x-example-desk)", Slug)
    target = file or Path(f"{slug}.yaml")
    if target.exists() or not target.parent.is_dir():
        raise InvalidInput(f"{target} already exists, or its folder does not exist. Choose another file.")
    allow_http = is_custom(slug) and allows_http()
    basics = ScaffoldInputs(
        slug=slug,
        auth_types=_prompt(f"Auth types ({', '.join(AUTH_TYPES)})", _AuthTypes, "api_key"),
        name=_prompt("Name, in the company's spelling", parts.Label),
        description=_prompt("Purpose of the product, in one sentence that ends in a full stop", Description),
        category=_prompt(f"Category ({', '.join(CATEGORIES)})", Category, "Productivity"),
        website=_prompt("Website", parts.Link, "https://", allow_http=allow_http),
        docs=_prompt("URL of the API's documentation", parts.Link, "https://", allow_http=allow_http),
        api=_prompt("Address of the API", parts.Url, "https://", allow_http=allow_http).rstrip("/"),
        check_path=_prompt("Path of a cheap request that needs a credential", parts.Path, "/me"),
    )
    target.write_text(scaffold(basics, target.name), encoding="utf-8")
    return slug, target


def _prompt(question: str, kind: Any, default: str | None = None, *, allow_http: bool = False) -> Any:
    """Prompt until the answer is valid. Return the validated answer. `allow_http`: allow http URLs on loopback."""
    adapter, label = TypeAdapter[Any](kind), re.split(r", | \(", question)[0]
    while True:
        try:
            answer = str(typer.prompt(question, default=default, err=True)).strip()
            return adapter.validate_python(answer, context={"allow_http": allow_http})
        except ValidationError as error:
            typer.echo(f"{label} {in_our_words(error.errors()[0])}.", err=True)
        except typer.Abort as error:  # the end of the input, or Ctrl-C
            typer.echo(err=True)
            raise InvalidInput(f"There is no answer for {label}. The command wrote no file.") from error
