"""A synthetic catalog of any size, with entries as different as real ones, to measure sizes and speed."""

import random
import re

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import Integration


def synthetic_catalog(count: int) -> Catalog:
    """Return a catalog of `count` products, the same for the same count and built-in catalog.

    Names are random, descriptions have words of real ones, and logos are real ones with other numbers.
    """
    chance = random.Random(count)
    real = load_catalog()
    words = sorted({word for entry in real.integrations for word in re.findall(r"[a-z]{3,}", entry.description)})
    entries, logos = [], {}
    for number in range(count):
        model = real.integrations[number % len(real.integrations)]
        entry = _entry(chance, model, words, number)
        entries.append(entry)
        logos[entry.slug] = _change_numbers(chance, real.logo(model.slug).decode()).encode()
    return Catalog.of(tuple(entries), logos, f"synthetic {count}")


def _entry(chance: random.Random, model: Integration, words: list[str], number: int) -> Integration:
    letters = "".join(chance.choices("bcdfglmnprstvz", k=3)) + "".join(chance.choices("aeiou", k=2))
    name = "".join(chance.sample(letters, 5)).title()
    sentence = " ".join(chance.choices(words, k=max(3, len(model.description.split()))))
    return model.model_copy(
        update={"slug": f"{name.lower()}-{number}", "name": name, "description": f"{sentence.capitalize()[:88]}."}
    )


def _change_numbers(chance: random.Random, svg: str) -> str:
    head, end, drawing = svg.partition(">")
    return head + end + re.sub(r"\d(?=\d*[ .,a-zA-Z\"-])", lambda _: str(chance.randrange(10)), drawing)
