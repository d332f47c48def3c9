"""Manufacturing: intervals, wear and service hours."""

from __future__ import annotations

from tunesmith.reason.suites._plan import Plan, Step

_MACHINES = ("milling machine", "pump", "compressor", "lathe", "conveyor", "press")

PLANS = (
    Plan(
        "next_service",
        {"interval": (200, 900, 20), "done": (40, 180, 10), "hours": (4, 16, 2)},
        (
            Step("left", "interval - done", "Hours left", "hours"),
            Step("days", "left / hours", "Days"),
        ),
        (
            "A {machine} is serviced every {interval} hours of running. It has run {done} hours since the last "
            "service and runs {hours} hours a day. In how many days is the next service due?",
            "The {machine} needs service after {interval} hours. {done} of them are over, and each day adds {hours}. "
            "How many days are left?",
            "Service of a {machine} falls due at {interval} running hours. The counter shows {done} and it runs "
            "{hours} hours daily. After how many days must it stop?",
            "Running {hours} hours every day, a {machine} has {done} hours on its counter. For how many more days may"
            " it run before it reaches {interval} hours?",
            "How many days until a {machine} with {done} hours behind it is at its limit of {interval} hours, at "
            "{hours} hours a day?",
        ),
        {"machine": _MACHINES},
    ),
    Plan(
        "wear",
        {"depth": (10, 60, 2), "limit": (2, 8, 2), "per_shift": (2, 4, 1), "shifts": (1, 3, 1)},
        (
            Step("usable", "depth - limit", "Usable depth", "tenths of a mm"),
            Step("per_day", "per_shift * shifts", "Wear a day", "tenths of a mm"),
            Step("days", "usable / per_day", "Days"),
        ),
        (
            "The lining of a {machine} is {depth} tenths of a mm thick and is changed at {limit} tenths. Each shift "
            "wears off {per_shift} tenths, with {shifts} shifts a day. How many days does it last?",
            "A {machine} has a lining of {depth} tenths of a mm; {limit} tenths must stay. It loses {per_shift} "
            "tenths in each of {shifts} daily shifts. After how many days is it worn?",
            "With {shifts} shifts a day and {per_shift} tenths of a mm lost in each, the lining of a {machine} falls "
            "from {depth} tenths to {limit} tenths. How many days is that?",
            "At {limit} tenths of a mm the lining of a {machine} has to go. New it has {depth} tenths, a shift takes "
            "{per_shift} of them, and there are {shifts} shifts daily. How many days until then?",
            "How many days does a {machine} run on a lining of {depth} tenths of a mm, {limit} of them untouchable, "
            "if {shifts} shifts a day cost {per_shift} tenths each?",
        ),
        {"machine": _MACHINES},
    ),
    Plan(
        "cost",
        {"machines": (2, 9, 1), "services": (2, 6, 1), "hours": (2, 8, 1), "wage": (20, 60, 5), "parts": (50, 400, 50)},
        (
            Step("visits", "machines * services", "Services a year"),
            Step("labour_each", "hours * wage", "Labour of a service", "euros"),
            Step("each", "labour_each + parts", "Cost of a service", "euros"),
            Step("cost", "visits * each", "Cost a year", "euros"),
        ),
        (
            "A plant has {machines} machines of the type {machine}, each serviced {services} times a year. A service "
            "takes {hours} hours at {wage} euros and parts for {parts} euros. What does a year cost?",
            "Each {machine} is serviced {services} times a year; there are {machines} of them. One service is {hours}"
            " hours of work at {wage} euros an hour with {parts} euros of parts. Find the yearly cost in euros.",
            "Yearly, {machines} times a {machine} has {services} services of {hours} hours. An hour costs {wage} "
            "euros, the parts of one service {parts} euros. How much is that in a year?",
            "For one service of a {machine} the plant pays {hours} hours at {wage} euros besides {parts} euros for "
            "parts. With {services} services a year for each of {machines} machines, what is the yearly bill?",
            "What is spent in a year on {machines} machines ({machine}) if every one of them is looked after "
            "{services} times, each time {hours} hours long at {wage} euros an hour and with parts for {parts} euros?",
        ),
        {"machine": _MACHINES},
    ),
)
