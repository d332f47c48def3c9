"""Logistics: stock, throughput and reordering."""

from __future__ import annotations

from tunesmith.reason.suites._plan import Plan, Step

_GOODS = ("bolts", "filters", "gloves", "valves", "bearings", "cartridges")

PLANS = (
    Plan(
        "range",
        {"boxes": (4, 40, 1), "each": (10, 60, 5), "used": (20, 120, 10)},
        (
            Step("stock", "boxes * each", "Stock", "pieces"),
            Step("days", "stock / used", "Days"),
        ),
        (
            "A store has {boxes} boxes with {each} {goods} each. {used} {goods} are used a day. For how many days "
            "does the stock last?",
            "There are {boxes} boxes of {goods}, {each} in a box, and {used} are taken out daily. After how many days"
            " are they gone?",
            "Every day a line takes {used} {goods}. The shelf holds {boxes} boxes of {each}. How many days can it "
            "run?",
            "Each of {boxes} boxes contains {each} {goods}. With a daily use of {used}, how many days pass until the "
            "last one is used?",
            "How many days do {goods} last at {used} a day, given {boxes} boxes that hold {each} of them?",
        ),
        {"goods": _GOODS},
    ),
    Plan(
        "throughput",
        {"machines": (2, 8, 1), "per_hour": (10, 60, 5), "hours": (4, 12, 1), "scrap": (10, 90, 10),
         "pallet": (20, 60, 10)},
        (
            Step("hourly", "machines * per_hour", "Pieces an hour"),
            Step("made", "hourly * hours", "Pieces made"),
            Step("good", "made - scrap", "Good pieces"),
            Step("pallets", "good / pallet", "Pallets"),
        ),
        (
            "{machines} machines make {per_hour} {goods} an hour each and run for {hours} hours. {scrap} pieces are "
            "scrap. How many pallets of {pallet} pieces do the good ones fill?",
            "A shift of {hours} hours has {machines} machines at {per_hour} {goods} an hour. {scrap} are thrown away,"
            " the rest is packed {pallet} to a pallet. How many pallets leave the shop?",
            "With {per_hour} {goods} an hour from each of {machines} machines over {hours} hours, less {scrap} "
            "rejects, how many pallets of {pallet} are filled?",
            "Pallets take {pallet} {goods}. In {hours} hours {machines} machines turn out {per_hour} pieces an hour "
            "each, of which {scrap} in all are rejected. How many pallets are packed?",
            "How many pallets, {pallet} {goods} to each, come from {hours} hours of work on {machines} machines that "
            "make {per_hour} pieces an hour apiece, once {scrap} bad pieces are taken out?",
        ),
        {"goods": _GOODS},
    ),
    Plan(
        "reorder",
        {"daily": (10, 80, 5), "lead": (2, 9, 1), "reserve": (20, 200, 20), "boxes": (2, 12, 1), "each": (10, 40, 5),
         "pack": (5, 25, 5)},
        (
            Step("during", "daily * lead", "Used until delivery", "pieces"),
            Step("needed", "during + reserve", "Needed", "pieces"),
            Step("stock", "boxes * each", "In stock", "pieces"),
            Step("missing", "needed - stock", "Missing", "pieces"),
            Step("packs", "missing / pack", "Packs to order"),
        ),
        (
            "{daily} {goods} are used a day and a delivery takes {lead} days. {reserve} must always stay in reserve. "
            "There are {boxes} boxes of {each} in stock. How many packs of {pack} must be ordered now?",
            "The store uses {daily} {goods} daily and holds {boxes} boxes with {each} each. An order arrives after "
            "{lead} days, when {reserve} pieces should still be there. How many packs of {pack} are to be ordered?",
            "Delivery time {lead} days, daily use {daily} {goods}, reserve {reserve} pieces, stock {boxes} boxes of "
            "{each}. How many packs of {pack} are missing?",
            "When new {goods} come in {lead} days, {reserve} of the old ones are to be left. Use is {daily} a day and"
            " the shelf has {boxes} boxes of {each}. How many packs with {pack} pieces have to be ordered today?",
            "How many packs of {pack} {goods} does a store order that has {boxes} boxes of {each}, uses {daily} a "
            "day, waits {lead} days for goods, and wants {reserve} pieces left by then?",
        ),
        {"goods": _GOODS},
    ),
)  # fmt: skip
