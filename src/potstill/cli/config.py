"""`potstill config`: what is set, where it comes from, and what may be set."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from potstill.cli.options import Json, Set

app = typer.Typer(help="Show settings and what a recipe may hold.", no_args_is_help=True)

Origin = Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")]


@app.command()
def show(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="Show this recipe's values too.")
    ] = None,
    set_: Set = None,
    origin: Origin = False,
    json_: Json = False,
) -> None:
    """Show every setting with its value."""
    from potstill.cli.configuration import load_configuration
    from potstill.cli.output import print_json, print_table
    from potstill.settings import to_table

    configuration = load_configuration()
    rows = _flat(to_table(configuration.settings))
    origins = dict(configuration.origins)
    if recipe is not None:
        values, recipe_origins = _recipe_values(recipe, set_ or [])
        rows, origins = rows | values, origins | recipe_origins
    elif set_:
        raise typer.BadParameter("--set changes a recipe's values; name the recipe.")
    if json_:
        told = {key: {"value": value, "origin": origins[key]} for key, value in rows.items()}
        print_json("potstill.config/1", {"settings": told})
        return
    columns = ["setting", "value", *(["origin"] if origin else [])]
    print_table(columns, [[key, _shown(value), origins[key]][: len(columns)] for key, value in rows.items()])


@app.command()
def schema(
    user: Annotated[bool, typer.Option("--user", help="Of potstill.toml, the user's own settings.")] = False,
) -> None:
    """Print the JSON Schema of recipes, made from the settings themselves."""
    from potstill.cli.configuration import UserSettings
    from potstill.cli.output import print_json
    from potstill.settings import schema as schema_of

    if user:
        title, told = "potstill.toml", schema_of(UserSettings)
    else:
        from potstill.runs.recipe import Recipe

        title, told = "A potstill recipe", schema_of(Recipe)
        # A recipe is called by its file's name when it does not say otherwise.
        del told["required"], told["properties"]["run"]["required"]
    print_json(
        "potstill.schema/1",
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **told},
    )


def _recipe_values(path: Path, overrides: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    from potstill.runs.recipe import parse_override, read_recipe, read_recipe_table
    from potstill.settings import to_table

    values = _flat(to_table(read_recipe(path, overrides)))
    origins = {key: "default" for key in values}
    origins |= {key: str(path) for key in _flat(read_recipe_table(path)) if key in values}
    changed = {".".join(parse_override(override)[0]) for override in overrides}
    origins |= {key: "--set" for key in changed if key in values}
    return values, origins


def _flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
