"""``make torture``: every brute-force proof until the time is over; prints what was tried."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

from tests.torture import copies, crash, damage, deaths, faults, kills, signals


def _crash(seed: int) -> Counter[str]:
    tried = Counter[str]()
    for step in range(5):
        tried["crash images"] += crash.run_seed(1000 * seed + step, per_point=3)
    for step in range(20):
        counted = deaths.run_seed(1000 * seed + step, per_point=2)
        tried["crash images"] += counted.pop("images", 0)
        tried += counted
    return tried


def _kills(seed: int) -> Counter[str]:
    killed, transfers = kills.run(60, seed)
    return Counter({"kills": killed, "acknowledged transfers": transfers})


def _signals(seed: int) -> Counter[str]:
    counted = signals.run(500, seed)
    return Counter({"signals": 500}) + Counter({f"signals: {what}": count for what, count in counted.items()})


PROOFS: dict[str, Callable[[int], Counter[str]]] = {
    "crash": _crash,
    "faults": lambda seed: Counter({"faults": faults.run_all(seed=seed)}),
    "damage": lambda seed: Counter({"damages": sum(damage.run(300, seed).values())}),
    "copies": lambda seed: Counter({"copies": sum(copies.run(100, seed).values())}),
    "kills": _kills,
    "signals": _signals,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="the first seed [default: the time]"
    )
    parser.add_argument("--only", choices=list(PROOFS))
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    tried = Counter[str]()
    seed = arguments.seed
    print(f"first seed {seed}", flush=True)
    while time.monotonic() < end:
        for name, proof in PROOFS.items():
            if arguments.only in (None, name):
                tried += proof(seed)
        seed += 1
        print(", ".join(f"{count:>8,} {what}" for what, count in sorted(tried.items())), flush=True)
    print("no violation")


if __name__ == "__main__":
    main()
