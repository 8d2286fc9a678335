"""A person in front of the page, scripted: sees what the page shows, reacts late, presses too long, and corrects that."""

from __future__ import annotations

import math
import time
from typing import Protocol

import numpy as np

OPEN, CLOSE = "Shift", " "

AXES = {"y": ("d", "a"), "x": ("s", "w"), "z": ("r", "f"), "yaw": ("q", "e")}
"""Keys that move the tool along world axes, up and down an axis; the person faces the robot."""


class Hands(Protocol):
    """Eyes and fingers of a person."""

    def see(self) -> dict:
        """The page's status, with ``objects``: place and rotation of each object by its body's name."""

    def hold(self, keys: set[str]) -> None:
        """Hold these keys and no others."""

    def tap(self, key: str) -> None:
        """Press a key shortly."""


class Person:
    """Lifts and stacks blocks with a keyboard."""

    def __init__(self, hands: Hands, *, seed: int, reaction: float = 0.15) -> None:
        self.hands, self.random, self.reaction = hands, np.random.default_rng(seed), reaction

    def lift(self, body: str = "block", height: float = 0.2) -> bool:
        """Grasp an object from above and lift it; whether it is up."""
        self._reach(body)
        self._grip()
        self._move(lambda seen: [*seen["tool"][:2], height], axes="z", tolerance=0.03)
        return self.hands.see()["objects"][body][0][2] > 0.08

    def stack(self, below: str, body: str) -> bool:
        """Put one block on another."""
        for _ in range(2):
            if self.lift(body, 0.16):
                break
            self._let_go()
        self._move(lambda seen: self._beneath(seen, below, body, 0.16), axes="xy", tolerance=0.008)
        top = lambda seen: seen["objects"][below][0][2] + 0.075  # noqa: E731
        self._move(
            lambda seen: [*seen["tool"][:2], top(seen) + self._hang(seen, body) - 0.012], axes="z", tolerance=0.006
        )
        self._let_go()
        self._move(lambda seen: [*seen["tool"][:2], 0.24], axes="z", tolerance=0.04)
        return self.hands.see()["stage"] == len(self.hands.see()["stages"]) - 1

    def _hang(self, seen: dict, body: str) -> float:
        return seen["tool"][2] - seen["objects"][body][0][2]

    def _beneath(self, seen: dict, below: str, body: str, height: float) -> list[float]:
        target, held, tool = (
            np.array(each) for each in (seen["objects"][below][0], seen["objects"][body][0], seen["tool"])
        )
        return [*(tool[:2] + target[:2] - held[:2]), height]

    def _reach(self, body: str) -> None:
        def above(seen: dict) -> list[float]:
            place = seen["objects"][body][0]
            return [place[0], place[1], 0.14]

        self._move(above, axes="xyz", tolerance=0.02)
        self._turn(body)
        self._move(above, axes="xy", tolerance=0.009)
        self._move(
            lambda seen: [*above(seen)[:2], max(0.02, seen["objects"][body][0][2] - 0.002)], axes="xyz", tolerance=0.009
        )

    def _turn(self, body: str) -> None:
        def error(seen: dict) -> float:
            rotation, turn = np.reshape(seen["objects"][body][1], (3, 3)), np.reshape(seen["turn"], (3, 3))
            block = math.atan2(rotation[1, 0], rotation[0, 0])
            hand = math.atan2(-turn[1, 1], -turn[0, 1])
            return (block - hand + math.pi / 4) % (math.pi / 2) - math.pi / 4

        def keys(seen: dict) -> set[str]:
            wrong = error(seen)
            return set() if abs(wrong) < 0.12 else {AXES["yaw"][int(wrong < 0)]}

        self._until_still(keys, seconds=4.0)

    def _grip(self) -> None:
        self._think()
        self.hands.hold({CLOSE})
        time.sleep(1.5 + self.random.uniform(0.0, 0.2))
        self.hands.hold(set())

    def _let_go(self) -> None:
        self._think()
        self.hands.hold({OPEN})
        time.sleep(0.9 + self.random.uniform(0.0, 0.2))
        self.hands.hold(set())

    def _move(self, place, *, axes: str, tolerance: float) -> None:
        """Hold keys until the tool is where ``place`` of what is seen says, on some axes [m]."""
        aim = self.random.normal(0.0, 0.15 * tolerance, 3)

        def keys(seen: dict) -> set[str]:
            wrong = np.array(place(seen)) + aim - np.array(seen["tool"])
            return {AXES[a][int(wrong["xyz".index(a)] < 0)] for a in axes if abs(wrong["xyz".index(a)]) > tolerance}

        self._until_still(keys, seconds=8.0)

    def _until_still(self, keys, *, seconds: float) -> None:
        """Hold what ``keys`` says of what was seen a moment ago, until it says nothing twice."""
        deadline, quiet = time.monotonic() + seconds, 0
        while time.monotonic() < deadline and quiet < 2:
            wanted = keys(self.hands.see())
            quiet = 0 if wanted else quiet + 1
            self.hands.hold(wanted)
            time.sleep(0.06 if wanted else self.reaction)
        self.hands.hold(set())
        self._think()

    def _think(self) -> None:
        time.sleep(self.reaction + self.random.exponential(0.05))


class PageHands:
    """Eyes and fingers on a page in a `chromium.Browser`."""

    SEE = """(() => { const h = window.handful, s = h.state; const objects = {};
      s.scene.shapes.forEach((shape, i) => { if (!shape.body.startsWith("jaco") && shape.body !== "world")
        objects[shape.body] = [[...h.poses.slice(12 * i, 12 * i + 3)], [...h.poses.slice(12 * i + 3, 12 * i + 12)]]; });
      return {...s.status, objects, stages: s.scene.stages}; })()"""

    def __init__(self, browser) -> None:
        self.browser, self.held = browser, set()

    def see(self) -> dict:
        return self.browser.value(self.SEE)

    def hold(self, keys: set[str]) -> None:
        for key in self.held - keys:
            self.browser.key(key, down=False)
        for key in keys - self.held:
            self.browser.key(key, down=True)
        self.held = set(keys)

    def tap(self, key: str) -> None:
        self.browser.tap(key)
