/* A library with the interface of Kinova's SDK, for tests: an arm that turns as it is told, 10 ms with each point. */
#include <stdio.h>
#include <string.h>
#ifndef PREFIXED
#define PREFIXED(name) name
#endif

typedef struct { char SerialNumber[20], Model[20]; int VersionMajor, VersionMinor, VersionRelease, DeviceType, DeviceID; } KinovaDevice;
typedef struct { unsigned long localIpAddress, subnetMask, robotIpAddress; unsigned short localCmdport, localBcastPort, robotPort;
                 unsigned long rxTimeOutInMs; } EthernetCommConfig;
typedef struct { float actuator[7], finger[3]; } AngularPosition;
typedef struct { int Type; float Delay, cartesian[6], actuator[7]; int HandMode; float finger[3]; } UserPosition;
typedef struct { UserPosition Position; int LimitationsActive, SynchroType; float limitation[9]; } TrajectoryPoint;

/* What a test sets and reads. */
int refuse_init, refuse_send, refuse_read, num_devices = 2, locked;
int num_sent, num_erased, num_closed, started, chosen = -1, last_type, last_hand_mode, last_limited;
float angles[7], fingers[3], last_actuators[7], last_fingers[3];
EthernetCommConfig last_config;
int sizes[3] = {sizeof(TrajectoryPoint), sizeof(KinovaDevice), sizeof(EthernetCommConfig)};

int PREFIXED(InitAPI)(void) { return refuse_init ? refuse_init : 1; }
int PREFIXED(InitEthernetAPI)(EthernetCommConfig *config) { last_config = *config; return refuse_init ? refuse_init : 1; }
int PREFIXED(CloseAPI)(void) { num_closed++; return 1; }
int PREFIXED(RefresDevicesList)(void) { return 1; }
int PREFIXED(GetDevices)(KinovaDevice devices[20], int *result) {
  memset(devices, 0, 20 * sizeof(KinovaDevice));
  for (int i = 0; i < num_devices; i++) {
    snprintf(devices[i].SerialNumber, 20, "PJ0000%d", i);
    devices[i].DeviceID = i;
  }
  *result = 1;
  return num_devices;
}
int PREFIXED(SetActiveDevice)(KinovaDevice device) { chosen = device.DeviceID; return 1; }
int PREFIXED(StartControlAPI)(void) { started = 1; return 1; }
int PREFIXED(SetAngularControl)(void) { return 1; }
int PREFIXED(EraseAllTrajectories)(void) { num_erased++; return 1; }
int PREFIXED(GetAngularPosition)(AngularPosition *answer) {
  memcpy(answer->actuator, angles, sizeof angles);
  memcpy(answer->finger, fingers, sizeof fingers);
  return refuse_read ? refuse_read : 1;
}
int PREFIXED(GetAngularVelocity)(AngularPosition *answer) {
  memset(answer, 0, sizeof *answer);
  answer->actuator[0] = 10.0f;
  answer->actuator[1] = 350.0f;
  return 1;
}
int PREFIXED(SendAdvanceTrajectory)(TrajectoryPoint point) {
  if (refuse_send) return refuse_send;
  num_sent++;
  last_type = point.Position.Type;
  last_hand_mode = point.Position.HandMode;
  last_limited = point.LimitationsActive;
  memcpy(last_actuators, point.Position.actuator, sizeof last_actuators);
  memcpy(last_fingers, point.Position.finger, sizeof last_fingers);
  for (int i = 0; i < 6 && !locked; i++) angles[i] += 0.01f * point.Position.actuator[i];
  for (int i = 0; i < 3 && !locked; i++) fingers[i] += 0.01f * point.Position.finger[i];
  return 1;
}
