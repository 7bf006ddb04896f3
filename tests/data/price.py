#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes tests/data/price.vectors: the price function (doc/PROTOCOL.md,
"Prices") in whole numbers of Python, independent of wire/price.c.

    python3 tests/data/price.py >tests/data/price.vectors

The same output every time: the generator is spelled out below.
"""

PLACES = 12
ONE = 10**PLACES  # prices and usages are counted in 1e-12
MICRO = 10**18  # and products in 1e-24: so many in a micro-unit
MOST = 2**63 - 1


class Random:
    """Numerical Recipes' 64-bit linear congruential generator."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        value = 0
        for _ in range(n.bit_length() // 32 + 2):
            self.state = (self.state * 6364136223846793005
                          + 1442695040888963407) % 2**64
            value = value << 32 | self.state >> 32
        return value % n


def text(v):
    whole, part = divmod(v, ONE)
    if not part:
        return str(whole)
    return ("%d.%012d" % (whole, part)).rstrip("0")


def amount(prices, usage):
    """In micro-units, rounded once, half to even; None: past 2^63 - 1."""
    total = prices[0] * ONE + sum(p * u for p, u in zip(prices[1:], usage))
    quotient, rest = divmod(total, MICRO)
    if rest * 2 > MICRO or (rest * 2 == MICRO and quotient % 2):
        quotient += 1
    return quotient if quotient <= MOST else None


def said(micro):
    return "overflow" if micro is None else str(micro)


def vector(prices, usage):
    print("amount", *map(text, prices), *map(text, usage),
          said(amount(prices, usage)))


def d(decimal):
    whole, _, part = decimal.partition(".")
    return int(whole) * ONE + int((part + "0" * PLACES)[:PLACES])


def edge(prices, usage):
    vector([d(p) for p in prices.split()], [d(u) for u in usage.split()])


def edges():
    print("# nothing, and the least that there is")
    edge("0 0 0 0 0 0", "0 0 0 0 0")
    edge("0 0 0 0 0 0", "5 5 5 5 5")
    edge("7 7 7 7 7 7", "0 0 0 0 0")
    edge("0.000000000001 0 0 0 0 0", "0 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "0.000000000001 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "499999 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "500000 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "500000.000000000001 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "1500000 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "2500000 0 0 0 0")
    print("# a tie goes to the even one, one 1e-24th beside it does not")
    for micro in range(4):
        tie = "0.%06d5" % micro
        edge(tie + " 0 0 0 0 0", "0 0 0 0 0")
        edge(tie + " 0 0.000000000001 0 0 0", "0 0.000000000001 0 0 0")
        vector([d(tie) - 1, 1, 0, 0, 0, 0], [ONE - 1, 0, 0, 0, 0])
        vector([d(tie) - 1, 1, 0, 0, 0, 0], [ONE, 0, 0, 0, 0])
    print("# rounded once: five halves of a micro-unit")
    edge("0 0.0000005 0.0000005 0.0000005 0.0000005 0.0000005", "1 1 1 1 1")
    edge("0.0000005 0.0000005 0.0000005 0.0000005 0.0000005 0.0000005",
         "1 1 1 1 1")
    print("# the greatest, and past it")
    edge("9223372036854.775807 0 0 0 0 0", "0 0 0 0 0")
    edge("9223372036854.775807499999 0 0 0 0 0", "0 0 0 0 0")
    edge("9223372036854.7758075 0 0 0 0 0", "0 0 0 0 0")
    edge("9223372036854.7758065 0 0 0 0 0", "0 0 0 0 0")
    edge("9223372036854.775808 0 0 0 0 0", "0 0 0 0 0")
    edge("0 9223372036854.775807 0 0 0 0", "1 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "9223372036854775807000000 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "9223372036854775807499999 0 0 0 0")
    edge("0 0.000000000001 0 0 0 0", "9223372036854775807500000 0 0 0 0")
    big = "9999999999999999999999999.999999999999"
    edge(big + " 0 0 0 0 0", "0 0 0 0 0")
    edge("0 " + big + " 0 0 0 0", big + " 0 0 0 0")
    edge(" ".join([big] * 6), " ".join([big] * 5))
    edge("0 " + big + " 0 0 0 0", "0.000000000001 0 0 0 0")
    edge("0 0 0 0 0 0.000000000001", "0 0 0 0 " + big)
    print("# months of a real machine")
    edge("0 0.0121 0 0 0 0", "720 0 0 0 0")
    edge("0.5 0.01 0.00001 0.000002 0.09 0.0001",
         "6 7200 24576 10.73741824 128.849018882")


def decimal(random, digits):
    """Of any size up to so many digits, small ones as often as large."""
    return random.below(10**random.below(digits))


def at_random(random):
    print("# any size")
    for i in range(120):
        digits = 37 if i % 10 == 0 else 22
        vector([decimal(random, digits) for _ in range(6)],
               [decimal(random, digits) for _ in range(5)])
    print("# sizes that are seen, few decimals and many")
    for _ in range(150):
        prices = [random.below(10**random.below(13)) for _ in range(6)]
        usage = [random.below(10**(6 + random.below(12))) for _ in range(5)]
        vector(prices, usage)


def near_ties(random):
    """Five terms at random; setup and the first term then bring the sum to
    within one 1e-24th of a tie."""
    print("# near a tie")
    for i in range(150):
        prices = [random.below(10**(1 + random.below(12))) for _ in range(6)]
        usage = [random.below(10**(8 + random.below(8))) for _ in range(5)]
        prices[1] = 1
        rest = sum(p * u for p, u in zip(prices[2:], usage[1:]))
        target = (rest // MICRO + 1 + random.below(10**9)) * MICRO + MICRO // 2
        target += i % 3 - 1
        prices[0], usage[0] = divmod(target - rest, ONE)
        vector(prices, usage)


def sessions(random):
    print("# sessions: what is charged at each step is the amount less what")
    print("# was charged before")
    for _ in range(20):
        prices = [random.below(10**random.below(12)) for _ in range(6)]
        usage = [0] * 5
        charged = 0
        print("session", *map(text, prices))
        for _ in range(10):
            usage = [u + random.below(10**(1 + random.below(14)))
                     for u in usage]
            now = amount(prices, usage)
            print("step", *map(text, usage), now, now - charged)
            charged = now


def main():
    print("# SPDX-License-Identifier: GPL-3.0-or-later")
    print("# Made by tests/data/price.py.  Prices in the order SetUp")
    print("# PricePerHour CPUSecond MemoryMBHour NetGB DiskGBHour, usages in")
    print("# the order hours, CPU s, MB h, GB, GB h; then micro-units.")
    print("#   amount PRICES USAGES AMOUNT|overflow")
    print("#   session PRICES, then its lines: step USAGES AMOUNT CHARGE")
    random = Random(1)
    edges()
    at_random(random)
    near_ties(random)
    sessions(random)


main()
