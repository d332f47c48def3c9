"""Finance: instalments, interest and fees."""

from __future__ import annotations

from tunesmith.reason.suites._plan import Plan, Step

_THINGS = ("a car", "a kitchen", "a piano", "a tractor", "a boat", "a roof")

PLANS = (
    Plan(
        "instalment",
        {"price": (1200, 6000, 100), "deposit": (200, 1000, 100), "months": (4, 24, 1)},
        (
            Step("loan", "price - deposit", "Amount financed", "euros"),
            Step("rate", "loan / months", "Instalment", "euros"),
        ),
        (
            "Someone buys {thing} for {price} euros and pays {deposit} euros at once. The rest is paid in {months} "
            "equal monthly instalments without interest. How many euros is one instalment?",
            "{thing} costs {price} euros. After a deposit of {deposit} euros the remainder is spread evenly over "
            "{months} months. What is the monthly payment in euros?",
            "A buyer of {thing} puts {deposit} euros down on a price of {price} euros and settles what is left in "
            "{months} equal instalments. Find one instalment.",
            "The dealer takes {deposit} euros for {thing} today and {months} equal monthly payments later, {price} "
            "euros altogether. How high is each payment?",
            "With {price} euros as the whole price of {thing}, {deposit} euros of it paid in cash, what is due in "
            "each of {months} months?",
        ),
        {"thing": _THINGS},
    ),
    Plan(
        "interest",
        {"loan": (1000, 8000, 100), "percent": (2, 9, 1), "years": (2, 5, 1), "fee": (20, 90, 10)},
        (
            Step("hundredth", "loan / 100", "One per cent", "euros"),
            Step("yearly", "hundredth * percent", "Interest a year", "euros"),
            Step("interest", "yearly * years", "Interest in all", "euros"),
            Step("cost", "interest + fee", "Cost of the credit", "euros"),
        ),
        (
            "A credit of {loan} euros for {thing} has {percent} per cent simple interest a year for {years} years and"
            " a fee of {fee} euros. What does the credit cost in all, without paying back the loan itself?",
            "To finance {thing}, {loan} euros are borrowed for {years} years at {percent} per cent simple interest a "
            "year; the bank charges {fee} euros once. How many euros are interest and fee together?",
            "The bank lends {loan} euros for {thing}. It takes {percent} per cent of that each year for {years} "
            "years, and {fee} euros for the paperwork. How much does it earn?",
            "What do interest and a fee of {fee} euros come to when {loan} euros are lent for {thing} over {years} "
            "years at simple interest of {percent} per cent a year?",
            "For {thing} a customer owes {loan} euros during {years} years. Each year costs {percent} per cent of the"
            " loan, the contract {fee} euros once. What are the costs beyond the loan?",
        ),
        {"thing": _THINGS},
    ),
    Plan(
        "leasing",
        {"price": (4000, 9000, 500), "deposit": (500, 2000, 500), "percent": (2, 8, 1), "months": (12, 48, 12),
         "service": (5, 25, 5)},
        (
            Step("loan", "price - deposit", "Amount financed", "euros"),
            Step("hundredth", "loan / 100", "One per cent", "euros"),
            Step("interest", "hundredth * percent", "Interest", "euros"),
            Step("owed", "loan + interest", "Owed", "euros"),
            Step("rate", "owed / months", "Rate without service", "euros"),
            Step("monthly", "rate + service", "Monthly rate", "euros"),
        ),
        (
            "{thing} costs {price} euros; {deposit} euros are paid at once. On the rest {percent} per cent interest "
            "is charged once, and the sum is paid in {months} equal monthly rates. Service adds {service} euros a "
            "month. What is paid each month?",
            "A contract for {thing}: price {price} euros, deposit {deposit} euros, {percent} per cent interest once "
            "on the remainder, {months} equal monthly rates, {service} euros a month for service. How much is due a "
            "month?",
            "Someone pays {deposit} euros towards {thing} at {price} euros. {percent} per cent is added to what is "
            "left, which is then divided over {months} months; {service} euros of service come on top every month. "
            "Find the monthly amount.",
            "Of {price} euros for {thing}, {deposit} euros are paid down. The balance grows by {percent} per cent "
            "once and is cleared over {months} months, with {service} euros for service in each of them. What does a "
            "month cost?",
            "How much leaves the account each month if {thing} ({price} euros, {deposit} euros of it paid) is "
            "financed over {months} months with one charge of {percent} per cent on the balance and {service} euros "
            "of monthly service?",
        ),
        {"thing": _THINGS},
    ),
)  # fmt: skip
