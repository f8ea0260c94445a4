"""One racer, in a process of its own: `race.py URL ROUNDS NAME` creates the same objects as its rivals, on a signal."""

import sys

from pipeline.store.objects import open_store


def main(url: str, rounds: int, name: str) -> None:
    store = open_store(url)
    print("ready", flush=True)
    for number in range(rounds):
        assert sys.stdin.readline() == "go\n"
        won = store.create(f"race/{number}", name.encode() * 500)
        print("won" if won else "lost", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
