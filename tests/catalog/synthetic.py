"""A catalog as large as one likes, of entries that have no more in common than real ones: for budgets and speed."""

import random
import re

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import Integration


def synthetic_catalog(count: int) -> Catalog:
    """`count` made-up products: names of their own, descriptions mixed from real words, real marks with every number in
    them moved. The same for the same count and catalog."""
    made = random.Random(count)
    real = load_catalog()
    words = sorted({word for entry in real.integrations for word in re.findall(r"[a-z]{3,}", entry.description)})
    entries, logos = [], {}
    for number in range(count):
        model = real.integrations[number % len(real.integrations)]
        entry = _entry(made, model, words, number)
        entries.append(entry)
        logos[entry.slug] = _moved(made, real.logo(model.slug).decode()).encode()
    return Catalog.of(tuple(entries), logos, f"synthetic {count}")


def _entry(made: random.Random, model: Integration, words: list[str], number: int) -> Integration:
    letters = "".join(made.choices("bcdfglmnprstvz", k=3)) + "".join(made.choices("aeiou", k=2))
    name = "".join(made.sample(letters, 5)).title()
    sentence = " ".join(made.choices(words, k=max(3, len(model.description.split()))))
    return model.model_copy(
        update={"slug": f"{name.lower()}-{number}", "name": name, "description": f"{sentence.capitalize()[:88]}."}
    )


def _moved(made: random.Random, svg: str) -> str:
    head, end, drawing = svg.partition(">")
    return head + end + re.sub(r"\d(?=\d*[ .,a-zA-Z\"-])", lambda _: str(made.randrange(10)), drawing)
