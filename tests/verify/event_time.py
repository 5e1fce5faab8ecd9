"""Reads `event_timestamp` as the contract says: RFC 3339 or epoch milliseconds."""

import re
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def time_us(value: object) -> int:
    """Microseconds since the epoch, finer digits cut off; ValueError for anything else.

    A leap second (23:59:60) is the second that follows it, as on POSIX clocks.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1000
    match = RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is neither RFC 3339 nor epoch milliseconds")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    moment = datetime(year, month, day, hour, minute, tzinfo=timezone.utc) + timedelta(seconds=second)
    if match[8]:
        offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
        moment = moment - offset if match[8] == "+" else moment + offset
    fraction_us = int((match[7] or "0").ljust(6, "0")[:6])
    return (moment - EPOCH) // timedelta(microseconds=1) + fraction_us
