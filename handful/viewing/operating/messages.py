"""What a page of an operator may send, checked value by value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from handful.demonstrations.operators.devices.device import Reading
from handful.viewing.gate import BadMessage

_Deflection = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
_Axes = tuple[_Deflection, _Deflection, _Deflection]
_Id = Annotated[str, msgspec.Meta(max_length=64, pattern="^[A-Za-z0-9-]*$")]


class Input(msgspec.Struct, tag_field="type", tag="input", forbid_unknown_fields=True):
    """The state of the person's device."""

    linear: _Axes
    angular: _Axes
    fingers: _Deflection
    engaged: bool
    number: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """Counts up; the page gets it back with the first state that it led to."""

    @property
    def reading(self) -> Reading:
        """As a device tells it."""
        return Reading(self.linear, self.angular, self.fingers, self.engaged)


class Press(msgspec.Struct, tag_field="type", tag="press", forbid_unknown_fields=True):
    """A key or a button that asks for something."""

    name: Literal["keep", "discard", "redo", "pause", "takeover", "slower", "faster"]


class Setting(msgspec.Struct, tag_field="type", tag="setting", forbid_unknown_fields=True):
    """Whether solved episodes are kept without being asked."""

    keep_automatically: bool


class Claim(msgspec.Struct, tag_field="type", tag="claim", forbid_unknown_fields=True):
    """Who this page is, and that it wants to steer."""

    id: _Id


class Pong(msgspec.Struct, tag_field="type", tag="pong", forbid_unknown_fields=True):
    """The page is still there."""


Message = Input | Press | Setting | Claim | Pong

_DECODER = msgspec.json.Decoder(Message)


def checked(raw: str | bytes) -> str:
    """The message, for a gate: encoded anew from what was read of it, so that `decoded` cannot fail."""
    if not isinstance(raw, str):
        raise BadMessage("expected text, got bytes.")
    try:
        return msgspec.json.encode(_DECODER.decode(raw)).decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        reason = str(error).replace("\n", " ")[:200]
        raise BadMessage(f"expected an input, a press, a setting or a claim: {reason}.") from error


def decoded(text: str) -> Message:
    """A message that was checked."""
    return _DECODER.decode(text)


def encoded(**values: Any) -> str:
    """A message to the page."""
    return msgspec.json.encode(values).decode()
