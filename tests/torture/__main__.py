"""``make torture``: crash images, faults, kills and damage until the time is over; prints what was tried."""

from __future__ import annotations

import argparse
import time

from torture import crash, damage, faults, kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="the first seed [default: the time]"
    )
    parser.add_argument("--only", choices=["crash", "faults", "kills", "damage"])
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    tried = {"crash images": 0, "faults": 0, "kills": 0, "acknowledged transfers": 0, "damages": 0}
    seed = arguments.seed
    print(f"first seed {seed}", flush=True)
    while time.monotonic() < end:
        if arguments.only in (None, "crash"):
            for step in range(20):
                tried["crash images"] += crash.run_seed(1000 * seed + step)
        if arguments.only in (None, "faults"):
            tried["faults"] += faults.run_all(seed=seed)
        if arguments.only in (None, "damage"):
            tried["damages"] += sum(damage.run(300, seed).values())
        if arguments.only in (None, "kills"):
            killed, transfers = kills.run(60, seed)
            tried["kills"] += killed
            tried["acknowledged transfers"] += transfers
        seed += 1
        print(", ".join(f"{count:>8,} {what}" for what, count in tried.items()), flush=True)
    print("no violation")


if __name__ == "__main__":
    main()
