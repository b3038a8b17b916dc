"""One organization cannot occupy all places of a lane."""

from itertools import count

from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks.deliveries import ClaimedDelivery
from one_runtime.webhooks.pace import PLACES, Places

NUMBERS = count()


def claimed(organization: str, number: int, lane: int = FIRST) -> list[ClaimedDelivery]:
    return [ClaimedDelivery(str(next(NUMBERS)), "endpoint", organization, lane, 1, 0, None) for _ in range(number)]


def fill(places: Places, organization: str) -> list[ClaimedDelivery]:
    """Claim deliveries one by one, as many as there are places for."""
    occupied: list[ClaimedDelivery] = []
    while places.left(FIRST, organization):
        occupied += claimed(organization, 1)
        places.occupy(occupied[-1:])
    return occupied


def test_each_organization_can_occupy_as_many_places_as_remain_free() -> None:
    places = Places()
    first, second, third = (fill(places, name) for name in ("a", "b", "c"))
    assert [len(occupied) for occupied in (first, second, third)] == [500, 250, 125]
    assert places.left(FIRST, "d") == 63
    assert places.left(TROUBLED, "a") == PLACES[TROUBLED] // 2


def test_released_places_can_be_occupied_again() -> None:
    places = Places()
    occupied = fill(places, "a")
    assert places.left(FIRST, "a") == 0
    places.release(occupied)
    assert places.left(FIRST, "a") == PLACES[FIRST] // 2
    places.occupy(claimed("b", 999))
    assert (places.left(FIRST, "b"), places.left(FIRST, "a")) == (0, 1)
