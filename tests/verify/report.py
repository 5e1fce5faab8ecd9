"""How every verifier ends: a line per check or one JSON object, and an exit code that says whether all agreed."""

import json
import sys


def finish(name: str, facts: dict[str, object], differences: list[str], as_json: bool) -> None:
    """Prints what was counted and each difference; ends the program with 1 when there is a difference."""
    if as_json:
        print(json.dumps({"verifier": name, "ok": not differences, "facts": facts, "differences": differences}))
    else:
        for key, value in facts.items():
            print(f"{key:40} {value}")
        for difference in differences:
            print(f"DIFFERENCE: {difference}")
        print(f"{name}: {'OK' if not differences else f'{len(differences)} differences'}")
    sys.exit(1 if differences else 0)
