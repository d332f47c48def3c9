"""Medicine: doses, courses and tablets."""

from __future__ import annotations

from tunesmith.reason.suites._plan import Plan, Step

_DRUGS = ("amoxicillin", "ibuprofen", "metformin", "doxycycline", "paracetamol", "cefalexin")

PLANS = (
    Plan(
        "tablets",
        {"dose": (100, 500, 50), "times": (2, 4, 1), "days": (3, 10, 1), "strength": (50, 250, 50)},
        (
            Step("daily", "dose * times", "Dose a day", "mg"),
            Step("course", "daily * days", "Dose of the course", "mg"),
            Step("tablets", "course / strength", "Tablets"),
        ),
        (
            "A patient takes {dose} mg of {drug} {times} times a day for {days} days. One tablet holds {strength} mg."
            " How many tablets are needed?",
            "The doctor orders {drug}, {dose} mg {times} times daily, for {days} days. The pharmacy has tablets of "
            "{strength} mg. How many tablets must it hand out?",
            "{drug} comes in tablets of {strength} mg. A course lasts {days} days with {times} doses of {dose} mg "
            "each day. Work out the number of tablets.",
            "For {days} days someone is given {dose} mg of {drug} at each of {times} daily doses. How many tablets of"
            " {strength} mg does that take?",
            "How many {strength} mg tablets of {drug} does a {days}-day treatment use up when every day has {times} "
            "doses and every dose is {dose} mg?",
        ),
        {"drug": _DRUGS},
    ),
    Plan(
        "weight",
        {"weight": (10, 60, 1), "per_kg": (4, 15, 1), "doses": (2, 4, 1)},
        (
            Step("daily", "weight * per_kg", "Dose a day", "mg"),
            Step("single", "daily / doses", "Single dose", "mg"),
        ),
        (
            "A child of {weight} kg is given {per_kg} mg of {drug} per kg of body weight a day, in {doses} equal "
            "doses. How many mg is one dose?",
            "{drug} is dosed at {per_kg} mg per kg and day. The patient weighs {weight} kg and takes it {doses} times"
            " a day in equal parts. What is a single dose in mg?",
            "The daily amount of {drug} is {per_kg} mg for each kg. It is split into {doses} equal doses. Give one "
            "dose in mg for a patient of {weight} kg.",
            "Body weight {weight} kg, {drug} {per_kg} mg/kg per day, {doses} equal doses daily: how many mg at a time?",
            "What does a person weighing {weight} kg take at a time, in mg, if {doses} equal daily doses together "
            "make {per_kg} mg of {drug} for every kg?",
        ),
        {"drug": _DRUGS},
    ),
    Plan(
        "infusion",
        {
            "bags": (2, 6, 1),
            "volume": (100, 500, 50),
            "extra": (50, 200, 50),
            "hours": (2, 10, 1),
            "drops": (10, 20, 10),
        },
        (
            Step("fluid", "bags * volume", "Fluid in the bags", "ml"),
            Step("all_fluid", "fluid + extra", "Fluid in all", "ml"),
            Step("rate", "all_fluid / hours", "Rate", "ml an hour"),
            Step("drops_hour", "rate * drops", "Drops an hour"),
            Step("drops_minute", "drops_hour / 60", "Drops a minute"),
        ),
        (
            "A patient gets {bags} bags of {volume} ml and a further {extra} ml of {drug} solution within {hours} "
            "hours. One ml has {drops} drops. How many drops a minute is that?",
            "{bags} bags with {volume} ml each and {extra} ml of {drug} solution are to run in over {hours} hours. "
            "The set gives {drops} drops for each ml. Find the drops per minute.",
            "An infusion is made of {bags} bags of {volume} ml; {extra} ml of {drug} solution are added to it. It "
            "lasts {hours} hours at {drops} drops a ml. What is the rate in drops a minute?",
            "Over {hours} hours the drip delivers {extra} ml of {drug} solution besides {bags} bags of {volume} ml. "
            "With {drops} drops in a ml, how many drops fall each minute?",
            "At how many drops a minute must a set of {drops} drops per ml run so that {bags} bags of {volume} ml, "
            "and {extra} ml of {drug} solution too, are through after {hours} hours?",
        ),
        {"drug": _DRUGS},
    ),
)
