"""Run the solutions that have no record, or were changed since: ``python -m resnet_edu.solutions [CHAPTER [NUMBER]]``."""

import argparse
import sys

from resnet_edu import solutions


def main(words: list[str] | None = None) -> int:
    """Run them, the quickest chapters as they come; return the exit status. What is recorded stays if stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m resnet_edu.solutions",
        description=__doc__.split(":")[0] + ".",
    )
    parser.add_argument(
        "chapter", nargs="?", help="one chapter; without it all"
    )
    parser.add_argument(
        "number",
        nargs="?",
        type=int,
        help="one exercise; it is run even if its record fits",
    )
    given = parser.parse_args(words)
    names = [given.chapter] if given.chapter else solutions.chapters()
    try:
        wanted = [one for name in names for one in solutions.load(name)]
    except ValueError as error:
        parser.error(str(error))
    if given.number is not None:
        wanted = [one for one in wanted if one.number == given.number]
        if not wanted:
            parser.error(
                f"{given.chapter} has no exercise {given.number} with a solution"
            )
    for one in wanted:
        kept = solutions.records(one.chapter).get(str(one.number))
        done = kept and one.fits(kept) and given.number is None
        if one.is_hint or done:
            continue
        print(f"{one.chapter}, exercise {one.number} …", end=" ", flush=True)
        print(f"{solutions.record(one)['seconds']} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
