"""The structures of Kinova's SDK, as ctypes: facts of its ``KinovaTypes.h`` and ``Kinova.API.*CommLayerUbuntu.h``.

Names are Kinova's own. All are packed as a C compiler packs them; a test compares their sizes and places with one's.
"""

from __future__ import annotations

import ctypes

NO_ERROR = 1
"""What every function returns where nothing is wrong (``NO_ERROR_KINOVA``)."""

ERRORS = {
    1007: "the connection to the arm failed",
    1008: "another program has the arm",
    1011: "no such USB device",
    1012: "the USB device is busy",
    1015: "no arm was found",
    1022: "the arm does not answer in time",
    2001: "the library could not be started",
    2002: "its communication library is not there",
    2004: "the communication with the arm failed",
    2101: "the library was not started",
    9999: "the arm refused",
}
"""Meaning of some of its numbers."""

ANGULAR_VELOCITY = 8
"""``POSITION_TYPE`` of a point of a trajectory whose actuators are velocities [deg/s]."""

VELOCITY_MODE = 2
"""``HAND_MODE`` of a point whose fingers are velocities [unit/s]."""

MAX_DEVICES = 20
"""``MAX_KINOVA_DEVICE``."""


class KinovaDevice(ctypes.Structure):
    """An arm that the library has found."""

    _fields_ = (
        ("SerialNumber", ctypes.c_char * 20),
        ("Model", ctypes.c_char * 20),
        ("VersionMajor", ctypes.c_int),
        ("VersionMinor", ctypes.c_int),
        ("VersionRelease", ctypes.c_int),
        ("DeviceType", ctypes.c_int),
        ("DeviceID", ctypes.c_int),
    )


class EthernetCommConfig(ctypes.Structure):
    """How an arm is reached by Ethernet; addresses are in the network's order."""

    _fields_ = (
        ("localIpAddress", ctypes.c_ulong),
        ("subnetMask", ctypes.c_ulong),
        ("robotIpAddress", ctypes.c_ulong),
        ("localCmdport", ctypes.c_ushort),
        ("localBcastPort", ctypes.c_ushort),
        ("robotPort", ctypes.c_ushort),
        ("rxTimeOutInMs", ctypes.c_ulong),
    )


class AngularInfo(ctypes.Structure):
    """Something of each actuator: degrees, or degrees per second."""

    _fields_ = tuple((f"Actuator{number}", ctypes.c_float) for number in range(1, 8))


class FingersPosition(ctypes.Structure):
    """Something of each finger: units, or units per second."""

    _fields_ = tuple((f"Finger{number}", ctypes.c_float) for number in range(1, 4))


class AngularPosition(ctypes.Structure):
    """Something of the whole arm."""

    _fields_ = (("Actuators", AngularInfo), ("Fingers", FingersPosition))


class CartesianInfo(ctypes.Structure):
    """Something of the hand in space."""

    _fields_ = tuple((name, ctypes.c_float) for name in ("X", "Y", "Z", "ThetaX", "ThetaY", "ThetaZ"))


class UserPosition(ctypes.Structure):
    """A position, or a velocity: ``Type`` says which."""

    _fields_ = (
        ("Type", ctypes.c_int),
        ("Delay", ctypes.c_float),
        ("CartesianPosition", CartesianInfo),
        ("Actuators", AngularInfo),
        ("HandMode", ctypes.c_int),
        ("Fingers", FingersPosition),
    )


class Limitation(ctypes.Structure):
    """Limits of a point's speed, not used here."""

    _fields_ = tuple(
        (f"{what}Parameter{number}", ctypes.c_float)
        for what in ("speed", "force", "acceleration")
        for number in (1, 2, 3)
    )


class TrajectoryPoint(ctypes.Structure):
    """A point of a trajectory."""

    _fields_ = (
        ("Position", UserPosition),
        ("LimitationsActive", ctypes.c_int),
        ("SynchroType", ctypes.c_int),
        ("Limitations", Limitation),
    )
