"""The `fields` check on records of many kinds: orders, weather, flights, configurations, accounts, tables, patients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.checks.test_fields import context, examine

RECORDS: dict[str, Any] = {
    "weather": {
        "location": "Berlin",
        "temperature_c": 12.4,
        "humidity": 81,
        "wind_kph": 22,
        "condition": "light rain",
        "alerts": [],
        "forecast": [
            {"day": "Monday", "high": 15, "low": 8, "rain": True},
            {"day": "Tuesday", "high": 18, "low": 9, "rain": False},
            {"day": "Wednesday", "high": 21, "low": 11, "rain": False},
        ],
    },
    "order": {
        "order_id": "A-1034",
        "status": "delayed",
        "shipped": False,
        "gift_wrap": True,
        "total": 54.2,
        "currency": "USD",
        "items": [
            {"sku": "B1", "name": "boots", "quantity": 2, "price": 20.0},
            {"sku": "S1", "name": "socks", "quantity": 3, "price": 4.73},
        ],
        "customer": {"name": "Jane Doe", "vip": False, "email": "jane@corp.test"},
        "expected_delivery": "2025-03-14",
        "carrier": None,
        "tracking_number": None,
    },
    "flight": {
        "flight": "LH 123",
        "departure": "14:35",
        "arrival": "16:05",
        "origin": "Munich",
        "destination": "Oslo",
        "refundable": False,
        "baggage": {"cabin": True, "checked": False},
        "stops": 0,
        "price_eur": 212,
    },
    "config": {
        "debug": False,
        "logging": {"level": "info", "json": True, "file": False},
        "max_connections": 100,
        "timeout_seconds": 30,
        "cache": {"enabled": True, "ttl": 300},
        "version": "2.4.1",
    },
    "user": {
        "active": True,
        "admin": False,
        "email_verified": True,
        "two_factor": False,
        "last_login": "2025-01-02T10:00:00Z",
        "roles": ["editor", "viewer"],
        "plan": "free",
        "seats": 5,
    },
    "table": "| Model | Battery | Weight | Waterproof |\n|---|---|---|---|\n| X1 | 5000 | 180 | yes |\n"
    "| X2 | 4500 | 170 | no |",
    "patient": {
        "name": "John Roe",
        "age": 54,
        "smoker": False,
        "diabetes": None,
        "allergies": ["penicillin"],
        "medications": [{"name": "metformin", "dose_mg": 500, "daily": True}],
        "blood_pressure": "130/85",
    },
}
RIGHT: dict[str, list[str]] = {
    "weather": [
        "In Berlin it is currently 12.4 °C with light rain.",
        "The humidity is 81% and the wind is at 22 km/h.",
        "It will rain on Monday but stay dry on Tuesday.",
        "There are no alerts.",
        "The high on Tuesday is 18 degrees.",
        "The temperature is 12 degrees.",
        "Wednesday will be the warmest day, with a high of 21.",
        "No rain is expected on Tuesday.",
    ],
    "order": [
        "Your order A-1034 has not been shipped yet.",
        "The order is delayed.",
        "It contains 2 boots and 3 socks.",
        "The total is $54.20.",
        "Your order will be shipped soon.",
        "It is gift wrapped.",
        "There is no tracking number yet.",
        "The expected delivery is March 14, 2025.",
        "The price of the boots is $20 each, so $40 for two.",
        "I have asked whether it was shipped.",
        "The total for the socks is $14.19.",
        "Once shipped, you get a tracking number.",
        "The status is still delayed.",
        "The status is: delayed.",
        "The carrier is not known.",
    ],
    "flight": [
        "LH 123 departs Munich at 14:35 and arrives in Oslo at 16:05.",
        "It is non-refundable.",
        "The fare is not refundable.",
        "A cabin bag is included, but checked baggage is not.",
        "The price is €212.",
        "It is a direct flight with 0 stops.",
        "The destination is Oslo.",
        "The departure is at 2:35 pm.",
    ],
    "config": [
        "Debug mode is off, which is right for production.",
        "Debug is disabled.",
        "The timeout is 30 seconds.",
        "To debug this, look at the logs.",
        "Logging to JSON is on, while file logging is off.",
        "Set debug to true to see more.",
        "Max connections is 100, which you can raise to 200.",
        "The cache has a TTL of 300 seconds.",
        "You can enable debug with a flag.",
        "The version is 2.4.1.",
        "I would debug the cache first.",
    ],
    "user": [
        "The account is active.",
        "She is not an admin.",
        "The admin can change that.",
        "Ask an admin to enable two-factor authentication.",
        "Her roles are editor and viewer.",
        "Two-factor authentication is off.",
        "The email has been verified.",
        "The plan is free.",
        "There are 5 seats.",
    ],
    "table": [
        "The X1 has a battery of 5000 mAh and is waterproof.",
        "The X2 is not waterproof.",
        "The X2's weight is 170 g.",
        "Both weigh under 200 g.",
        "The X1 is waterproof, the X2 is not.",
    ],
    "patient": [
        "The patient is a 54-year-old non-smoker.",
        "He has never smoked.",
        "He is allergic to penicillin.",
        "The dose is 500 mg.",
        "He takes metformin daily.",
        "His allergies include penicillin.",
        "Diabetes is not recorded.",
        "His age is 54.",
    ],
}
WRONG: dict[str, list[str]] = {
    "weather": ["The humidity is 60%.", "The temperature is 19 degrees."],
    "order": [
        "Your order has been shipped.",
        "The total is $60.20.",
        "The status is Delivered.",
        "The tracking number is 1Z999.",
        "It includes gift wrap: no.",
    ],
    "flight": [
        "The ticket is refundable.",
        "Checked baggage is included.",
        "The price is €240.",
        "The destination is Madrid.",
        "The departure is at 15:35.",
    ],
    "config": ["The timeout is 60 seconds.", "max_connections: 200"],
    "user": ["Her roles are editor and owner.", "The account is not active.", "Two-factor is enabled."],
    "table": ["The X2 is waterproof.", "The X2 has a battery of 5000."],
    "patient": ["He has diabetes.", "The age is 45.", "He is a smoker.", "His allergies are aspirin and latex."],
}


def passage(kind: str) -> str:
    record = RECORDS[kind]
    return record if isinstance(record, str) else json.dumps(record)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in RIGHT.items() for text in texts])
def test_a_true_statement_and_one_about_other_things_is_no_error(kind: str, text: str) -> None:
    assert [finding for finding in examine(text, context(passage(kind))) if finding.score >= 0.5] == []


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in WRONG.items() for text in texts])
def test_what_the_record_contradicts_is_found_and_quoted(kind: str, text: str) -> None:
    found = [finding for finding in examine(text, context(passage(kind))) if finding.score >= 0.5]
    assert found
    assert all(finding.evidence in passage(kind) for finding in found)


OTHERWISE: list[tuple[dict[str, Any], str, float]] = [
    ({"feels_like_c": -9}, "It feels like 15.8 °F.", 0),
    ({"feels_like_c": 20.0}, "It feels like 68 °F.", 0),
    ({"feels_like_c": 20.0}, "It feels like 90 °F.", 0.45),
    ({"feels_like_c": 20.0}, "It feels like 25 °C.", 0.9),
    ({"visibility_km": 16}, "Visibility is 10 miles.", 0),
    ({"visibility_km": 16}, "Visibility is 30 miles.", 0.45),
    ({"visibility_km": 16}, "Visibility is 30 km.", 0.9),
    ({"timeout_seconds": 120}, "The timeout is 2 minutes.", 0),
    ({"price": 1199, "currency": "USD"}, "The price is €950.", 0.45),
    ({"price": 1199, "currency": "USD"}, "The price is $950.", 0.9),
    ({"price": 1199, "currency": "USD"}, "The price is $1,079.10 with your 10% discount.", 0),
    ({"price": 1199, "currency": "USD"}, "With tax, the price is $1,294.92.", 0.7),
    ({"price": 1199, "currency": "USD"}, "It comes with a price of $950.", 0.9),
    ({"balance": 2431.17, "pending": -120.5}, "After the pending payment, the balance is €2,310.67.", 0),
    ({"balance": 2431.17, "pending": -120.5}, "The balance is €2,310.67.", 0),
    ({"balance": 2431.17, "pending": -120.5}, "The balance is €2,311.67.", 0.9),
    ({"humidity": 81, "wind_kph": 21}, "The humidity is 60%.", 0.7),
]


@pytest.mark.parametrize(("record", "text", "score"), OTHERWISE)
def test_a_number_in_another_unit_or_worked_out_does_not_interrupt(
    record: dict[str, Any], text: str, score: float
) -> None:
    assert max((found.score for found in examine(text, context(json.dumps(record)))), default=0) == score
