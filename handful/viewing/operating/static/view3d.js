// Draws boxes, meshes and so on with WebGL: triangles come once for each episode, poses at every step.

const VERTEX = `
attribute vec3 position; attribute vec3 normal;
uniform mat4 camera; uniform mat3 rotation; uniform vec3 place;
varying vec3 turned;
void main() { turned = rotation * normal; gl_Position = camera * vec4(rotation * position + place, 1.0); }`;
const FRAGMENT = `
precision mediump float; varying vec3 turned; uniform vec3 color;
void main() {
  vec3 n = normalize(turned);
  float light = 0.35 + 0.5 * max(0.0, dot(n, normalize(vec3(0.5, -0.3, 0.8)))) + 0.15 * max(0.0, dot(n, vec3(0.7, 0.7, 0.0)));
  gl_FragColor = vec4(color * light * 1.2, 1.0);
}`;

export class View3D {
  constructor(canvas) {
    this.canvas = canvas;
    this.yaw = 0.35; this.pitch = 0.42; this.distance = 1.3; this.target = [0.38, 0, 0.14];
    this.shapes = []; this.poses = null;
    this.gl = canvas.getContext("webgl", { antialias: true });
    if (this.gl) this.build();
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      this.yaw -= 0.008 * event.movementX;
      this.pitch = Math.min(1.5, Math.max(0.02, this.pitch + 0.008 * event.movementY));
      this.draw();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.distance = Math.min(3, Math.max(0.3, this.distance * Math.exp(0.001 * event.deltaY)));
      this.draw();
    }, { passive: false });
  }

  build() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    gl.linkProgram(program); gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST); gl.clearColor(0.125, 0.15, 0.18, 1);
    this.at = (name) => gl.getAttribLocation(program, name);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    this.places = Object.fromEntries(["camera", "rotation", "place", "color"].map((n) => [n, this.uniform(n)]));
  }

  setShapes(shapes) {
    const gl = this.gl;
    if (!gl) return;
    for (const shape of this.shapes) gl.deleteBuffer(shape.buffer);
    this.shapes = shapes.map((shape) => {
      const bytes = Uint8Array.from(atob(shape.triangles), (c) => c.charCodeAt(0));
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.STATIC_DRAW);
      return { buffer, count: bytes.length / 24, color: shape.color };
    });
    this.poses = null;
  }

  setPoses(poses) { this.poses = poses; this.draw(); }

  draw() {
    const gl = this.gl;
    if (!gl || !this.poses || this.poses.length !== 12 * this.shapes.length) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this.places.camera, false, this.cameraMatrix());
    const position = this.at("position"), normal = this.at("normal");
    gl.enableVertexAttribArray(position); gl.enableVertexAttribArray(normal);
    this.shapes.forEach((shape, i) => {
      const p = this.poses.subarray(12 * i, 12 * i + 12);
      gl.uniform3f(this.places.place, p[0], p[1], p[2]);
      // Rows of a rotation come; WebGL wants columns.
      gl.uniformMatrix3fv(this.places.rotation, false, [p[3], p[6], p[9], p[4], p[7], p[10], p[5], p[8], p[11]]);
      gl.uniform3fv(this.places.color, shape.color);
      gl.bindBuffer(gl.ARRAY_BUFFER, shape.buffer);
      gl.vertexAttribPointer(position, 3, gl.FLOAT, false, 24, 0);
      gl.vertexAttribPointer(normal, 3, gl.FLOAT, false, 24, 12);
      gl.drawArrays(gl.TRIANGLES, 0, shape.count);
    });
  }

  cameraMatrix() {
    const [tx, ty, tz] = this.target, c = Math.cos(this.pitch), s = Math.sin(this.pitch);
    const back = [c * Math.cos(this.yaw), c * Math.sin(this.yaw), s];
    const eye = [tx + this.distance * back[0], ty + this.distance * back[1], tz + this.distance * back[2]];
    const right = [-Math.sin(this.yaw), Math.cos(this.yaw), 0];
    const up = [back[1] * right[2] - back[2] * right[1], back[2] * right[0] - back[0] * right[2],
      back[0] * right[1] - back[1] * right[0]];
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const near = 0.05, far = 20, f = 1 / Math.tan(0.42), g = f * this.canvas.height / this.canvas.width;
    const rows = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
    const z = -(far + near) / (far - near), w = -2 * far * near / (far - near), m = [];
    for (let column = 0; column < 4; column++) {
      const last = column === 3 ? 1 : 0;
      m.push(g * rows[0][column], f * rows[1][column], z * rows[2][column] + w * last, -rows[2][column]);
    }
    return m;
  }
}
