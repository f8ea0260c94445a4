"""One publisher, in a process of its own: `publisher.py URL PRICES` publishes the study smoke once a price, each
on a signal."""

import sys

from pipeline.plan.studies import study
from pipeline.publication.publish import publish
from pipeline.store.objects import open_store


def main(url: str, prices: list[float]) -> None:
    store, smoke = open_store(url), study("smoke")
    print("ready", flush=True)
    for price in prices:
        assert sys.stdin.readline() == "go\n"
        publish(store, smoke, price)
        print("published", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [float(price) for price in sys.argv[2].split(",")])
