// The person's devices: keyboard, gamepad (Gamepad API), SpaceMouse (WebHID). Each gives axes in [-1, 1]: three to move
// (right, away, up), three to turn about the same axes, and one for the fingers (positive closes).

export const KEYS = {
  KeyW: [1, 1], KeyS: [1, -1], KeyD: [0, 1], KeyA: [0, -1], KeyR: [2, 1], KeyF: [2, -1],
  KeyQ: [5, 1], KeyE: [5, -1], KeyI: [3, -1], KeyK: [3, 1], KeyL: [4, 1], KeyJ: [4, -1],
  Space: [6, 1], ShiftLeft: [6, -1], ShiftRight: [6, -1],
};
export const PRESSES = {
  Enter: "keep", Backspace: "discard", KeyZ: "redo", KeyP: "pause", KeyT: "takeover",
  Minus: "slower", NumpadSubtract: "slower", Equal: "faster", NumpadAdd: "faster",
};

const GAMEPAD_DEAD_ZONE = 0.15, MOUSE_DEAD_ZONE = 0.08, MOUSE_RANGE = 350;

function outside(value, zone) {
  const size = Math.abs(value);
  return size <= zone ? 0 : Math.sign(value) * Math.min(1, (size - zone) / (1 - zone));
}

export class Keyboard {
  constructor(onChange, onPress) {
    this.held = new Set();
    addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement && event.target.type === "text";
      if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
      if (event.code in PRESSES) { event.preventDefault(); if (!event.repeat) onPress(PRESSES[event.code]); return; }
      if (!(event.code in KEYS)) return;
      event.preventDefault();
      if (!this.held.has(event.code)) { this.held.add(event.code); onChange(); }
    });
    addEventListener("keyup", (event) => { if (this.held.delete(event.code)) { event.preventDefault(); onChange(); } });
    const release = () => { if (this.held.size) { this.held.clear(); onChange(); } };
    addEventListener("blur", release);
    document.addEventListener("visibilitychange", release);
  }
  axes() {
    const axes = [0, 0, 0, 0, 0, 0, 0];
    for (const code of this.held) { const [axis, direction] = KEYS[code]; axes[axis] += direction; }
    return axes.map((value) => Math.max(-1, Math.min(1, value)));
  }
}

export class Gamepads {
  constructor(onPress) { this.onPress = onPress; this.before = {}; this.id = null; }
  axes() {
    const pad = [...(navigator.getGamepads?.() ?? [])].find((each) => each && each.connected);
    this.id = pad ? pad.id : null;
    if (!pad) { this.before = {}; return [0, 0, 0, 0, 0, 0, 0]; }
    const button = (i) => pad.buttons[i]?.value ?? 0, pressed = (i) => (pad.buttons[i]?.pressed ? 1 : 0);
    const stick = (i) => outside(pad.axes[i] ?? 0, GAMEPAD_DEAD_ZONE);
    for (const [i, press] of [[9, "keep"], [8, "discard"], [3, "redo"], [2, "pause"], [1, "takeover"]]) {
      if (pressed(i) && !this.before[i]) this.onPress(press);
      this.before[i] = pressed(i);
    }
    const up = outside(button(7) - button(6), 0.05);
    return [stick(0), -stick(1), up, stick(3), pressed(5) - pressed(4), -stick(2), pressed(0) - pressed(13)];
  }
}

export class SpaceMouse {
  constructor(onPress) { this.onPress = onPress; this.values = [0, 0, 0, 0, 0, 0]; this.buttons = 0; this.device = null; }
  get available() { return "hid" in navigator; }
  async connect() {
    const usage = { usagePage: 1, usage: 8 };
    const filters = [{ vendorId: 0x046d, ...usage }, { vendorId: 0x256f, ...usage }];
    const [device] = await navigator.hid.requestDevice({ filters });
    if (device) await this.open(device);
  }
  async open(device) {
    await device.open();
    this.device = device;
    device.addEventListener("inputreport", (event) => this.report(event.reportId, event.data));
    navigator.hid.addEventListener("disconnect", (event) => { if (event.device === device) this.release(); });
  }
  release() { this.values.fill(0); this.buttons = 0; this.device = null; }
  report(id, data) {
    const read = (i) => data.getInt16(2 * i, true) / MOUSE_RANGE;
    if (id === 1) for (let i = 0; i < Math.min(6, data.byteLength >> 1); i++) this.values[i] = read(i);
    if (id === 2) for (let i = 0; i < 3; i++) this.values[3 + i] = read(i);
    if (id === 3) {
      const buttons = data.getUint8(0);
      if ((buttons & 3) === 3 && (this.buttons & 3) !== 3) this.onPress("takeover");
      this.buttons = buttons;
    }
  }
  axes() {
    // HID has y towards the person and z down.
    const [x, y, z, rx, ry, rz] = this.values.map((value) => outside(Math.max(-1, Math.min(1, value)), MOUSE_DEAD_ZONE));
    const both = (this.buttons & 3) === 3;
    return [x, -y, -z, rx, -ry, -rz, both ? 0 : (this.buttons & 1) - ((this.buttons >> 1) & 1)];
  }
}
