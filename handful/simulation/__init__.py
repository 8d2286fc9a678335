"""MuJoCo worlds: the arm, the props, the camera, and many simulations in one batch."""
