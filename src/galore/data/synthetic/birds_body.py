"""The body of an invented bird: how it stands, where its body coordinates lie in the image, outlines of its parts.

Body coordinates (t, s): t runs from the face (0) to the root of the tail (1), s from the belly's edge (-1) to the
back's (1). Lengths are in head radii until the pose places the bird in the image, whose side has length 1.
"""

from dataclasses import dataclass

import numpy as np

from galore.data.synthetic.birds_species import PARTS, BodyShape


@dataclass(frozen=True)
class Pose:
    """Angles in radians; lengths as fractions of the image."""

    faces_right: bool
    body: float
    head: float
    tail: float
    wing: float
    both_wings: bool
    narrowing: float
    tilt: float
    extent: float
    center: np.ndarray
    stride: float


def draw_pose(rng: np.random.Generator) -> Pose:
    stretches = rng.random() < 0.15
    return Pose(
        faces_right=bool(rng.random() < 0.5),
        body=rng.uniform(0.2, 0.85),
        head=rng.normal(0.0, 0.14),
        tail=rng.normal(-0.05, 0.16),
        wing=rng.uniform(0.35, 0.9) if stretches else rng.uniform(-0.05, 0.12),
        both_wings=bool(stretches),
        narrowing=rng.uniform(0.82, 1.0),
        tilt=rng.normal(0, 0.1),
        extent=rng.uniform(0.76, 1.0),
        center=np.array([0.5, 0.5]) + rng.uniform(-0.07, 0.07, 2),
        stride=rng.uniform(-0.3, 0.3),
    )


_T = np.linspace(0, 1, 41)
_RAMP = np.linspace(0, 1, 12)
_STOPS = np.array([0, 0.015, 0.05, 0.1, 0.15, 0.21, 0.27, 0.34, 0.48, 0.63, 0.8, 0.92, 1])
_RADII = np.array([0.2, 0.5, 0.8, 0.98, 1.04, 1.02, 0.98, 1.12, 1.56, 1.62, 1.22, 0.72, 0.4])


class Skeleton:
    """The spine of a bird in its pose, and the way from body coordinates into the image."""

    def __init__(self, shape: BodyShape, pose: Pose):
        self.shape, self.pose = shape, pose
        bend = np.clip((_T - 0.12) / 0.4, 0, 1)
        angle = pose.head + (pose.body - pose.head) * bend * bend * (3 - 2 * bend)
        direction = np.stack([np.cos(angle), np.sin(angle)], 1)
        steps = direction * shape.length / (len(_T) - 1)
        self._spine = np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], 0)])
        normal = np.stack([direction[:, 1], -direction[:, 0]], 1)
        body = np.clip((_T - 0.3) / 0.15, 0, 1)
        neck = np.exp(-(((_T - 0.31) / 0.06) ** 2))
        radius = np.interp(_T, _STOPS, _RADII) * (1 + body * (shape.plumpness - 1)) * (1 + neck * (shape.neck - 1))
        self._table = np.concatenate([self._spine, normal * radius[:, None]], 1)
        self._slopes = np.diff(self._table, axis=0)
        self.hip = self._raw(0.7, -0.75)
        self._toes = self.hip + np.array([0.25, shape.leg_length])
        self._place()

    def _raw(self, t: float | np.ndarray, s: float | np.ndarray) -> np.ndarray:
        position = np.multiply(t, len(_T) - 1)
        below = np.minimum(position.astype(np.intp), len(_T) - 2)
        at = self._table.take(below, 0) + (position - below)[..., None] * self._slopes.take(below, 0)
        return at[..., :2] + np.asarray(s)[..., None] * at[..., 2:]

    def _place(self) -> None:
        """Fits what every bird of this shape and pose has into the image, whatever its beak or plumage."""
        pose = self.pose
        tail_tip = self._spine[-1] + self.shape.tail_length * unit_vector(pose.body + pose.tail)
        outline = np.concatenate([self._raw(_T, 1.0), self._raw(_T, -1.0), [tail_tip, self._toes, [-1.3, 0.1]]])
        cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
        turn = np.array([[cos, sin], [-sin, cos]]) * np.array([[pose.narrowing], [1.0]])
        if pose.faces_right:
            turn = turn * np.array([[-1.0, 1.0]])
        corners = outline @ turn
        low, high = corners.min(0), corners.max(0)
        self.unit = pose.extent / float((high - low).max())
        self._matrix = turn * self.unit
        self._offset = pose.center - (low + high) / 2 * self.unit

    def place(self, raw: np.ndarray) -> np.ndarray:
        """From head radii to fractions of the image."""
        return raw @ self._matrix + self._offset

    def at(self, t: float | np.ndarray, s: float | np.ndarray) -> np.ndarray:
        """From body coordinates to fractions of the image."""
        return self.place(self._raw(t, s))

    def patch(self, t0: float | int, t1: float | int, s0: float | int, s1: float | int) -> np.ndarray:
        """The outline of a rectangle of body coordinates."""
        t = np.concatenate([t0 + (t1 - t0) * _RAMP, np.full(4, t1), t1 + (t0 - t1) * _RAMP, np.full(4, t0)])
        s = np.concatenate(
            [np.full(12, s0), s0 + (s1 - s0) * _RAMP[2:10:2], np.full(12, s1), s1 + (s0 - s1) * _RAMP[2:10:2]]
        )
        return self.at(t, s)

    def along(self, root: np.ndarray, angle: float, corners: np.ndarray) -> np.ndarray:
        """Corners (x along `angle`, y below it) from a root, all in head radii, into the image."""
        axis = unit_vector(angle)
        return self.place(root + corners[:, :1] * axis + corners[:, 1:] * np.array([-axis[1], axis[0]]))

    @property
    def feet(self) -> np.ndarray:
        """Where the bird stands."""
        return self.place(self._toes)

    @property
    def shoulder(self) -> np.ndarray:
        return self._raw(0.4, 0.18)

    @property
    def rump(self) -> np.ndarray:
        return self._spine[-1] - 0.5 * unit_vector(self.pose.body)

    @property
    def beak_root(self) -> np.ndarray:
        return self._raw(0.02, -0.1)

    @property
    def points(self) -> np.ndarray:
        """Where each of PARTS is looked for, as fractions of the image."""
        near, far = ("right", "left") if self.pose.faces_right else ("left", "right")
        wing = self.along(self.shoulder, self.wing_angle, np.array([[self.shape.wing_length * 0.4, 0.0]]))[0]
        far_wing = self.along(self.shoulder, self.wing_angle - 0.45, np.array([[self.shape.wing_length * 0.75, -0.3]]))[
            0
        ]
        beak = self.along(self.beak_root, np.pi + self.pose.head, np.array([[0.42, 0.0]]))[0]
        tail = self.along(
            self.rump, self.pose.body + self.pose.tail, np.array([[self.shape.tail_length * 0.75, -0.15]])
        )[0]
        at = {
            "back": self.at(0.52, 0.86), "beak": beak, "belly": self.at(0.66, -0.6), "breast": self.at(0.41, -0.62),
            "crown": self.at(0.15, 0.8), "forehead": self.at(0.045, 0.65), "nape": self.at(0.29, 0.75),
            "throat": self.at(0.16, -0.72), "tail": tail,
            f"{near} eye": self.eye, f"{far} eye": self.eye, f"{near} wing": wing, f"{far} wing": far_wing,
            f"{near} leg": self.leg(0.0)[1], f"{far} leg": self.leg(0.55)[1],
        }  # fmt: skip
        return np.stack([at[part] for part in PARTS])

    @property
    def eye(self) -> np.ndarray:
        return self.at(0.13, 0.15)

    @property
    def wing_angle(self) -> float:
        return self.pose.body - 0.06 - self.pose.wing

    def leg(self, behind: float) -> np.ndarray:
        """Hip, shin and toes of a leg, as fractions of the image."""
        sway = behind * (0.8 + self.pose.stride)
        hip = self.hip + np.array([sway, -0.3])
        foot = self._toes + np.array([sway, 0.0])
        return self.place(np.stack([hip, hip * 0.35 + foot * 0.65, foot]))


def unit_vector(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


# Outlines of the parts that have a shape of their own: x along the part as a share of its length, y across it.
# The y of beaks is in head radii, negative above; of tails in head radii; of wings as a share of the wing's depth.

BEAKS = {
    "curved_(up_or_down)": [(0, -0.34), (0.5, -0.3), (0.85, 0.0), (1, 0.5), (0.75, 0.28), (0.4, 0.18), (0, 0.3)],
    "dagger": [(0, -0.4), (0.5, -0.26), (1, 0.0), (0.5, 0.2), (0, 0.34)],
    "hooked": [(0, -0.46), (0.6, -0.46), (0.95, -0.2), (1, 0.42), (0.8, 0.12), (0, 0.4)],
    "needle": [(0, -0.17), (1.1, 0.0), (0, 0.17)],
    "spatulate": [
        (0, -0.26),
        (0.5, -0.2),
        (0.85, -0.38),
        (1.02, -0.22),
        (1.02, 0.22),
        (0.85, 0.38),
        (0.5, 0.2),
        (0, 0.26),
    ],
    "all-purpose": [(0, -0.36), (0.6, -0.24), (1, 0.06), (0.5, 0.16), (0, 0.26)],
    "cone": [(0, -0.66), (0.5, -0.42), (1, 0.05), (0.5, 0.36), (0, 0.52)],
}
BEAK_LENGTHS = {"shorter_than_head": 0.95, "about_the_same_as_head": 1.6, "longer_than_head": 2.6}
TAILS = {
    "forked_tail": [(0, -0.45), (1.12, -1.0), (0.62, 0.0), (1.12, 1.0), (0, 0.45)],
    "rounded_tail": [(0, -0.45), (0.8, -0.75), (1.0, -0.55), (1.1, 0), (1.0, 0.55), (0.8, 0.75), (0, 0.45)],
    "notched_tail": [(0, -0.45), (1.0, -0.75), (0.88, 0.0), (1.0, 0.75), (0, 0.45)],
    "fan-shaped_tail": [(0, -0.4), (0.85, -1.45), (1.02, -0.8), (1.08, 0), (1.02, 0.8), (0.85, 1.45), (0, 0.4)],
    "pointed_tail": [(0, -0.45), (0.7, -0.42), (1.3, 0.0), (0.7, 0.42), (0, 0.45)],
    "squared_tail": [(0, -0.45), (1.0, -0.62), (1.0, 0.62), (0, 0.45)],
}
WINGS = {
    "rounded-wings": [
        (0, -0.1), (0.12, -0.42), (0.5, -0.46), (0.85, -0.32), (1, 0), (0.9, 0.26), (0.6, 0.5), (0.3, 0.56),
        (0.06, 0.36),
    ],
    "pointed-wings": [
        (0, -0.1), (0.12, -0.42), (0.5, -0.42), (0.9, -0.2), (1.2, 0), (0.88, 0.14), (0.6, 0.36), (0.3, 0.5),
        (0.06, 0.34),
    ],
}  # fmt: skip
