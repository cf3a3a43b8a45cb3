"""Single images: damage is named, faces are aligned as computed by hand, boxes follow the real size."""

import math

import numpy as np
import pytest
from PIL import Image
from real_layouts import picture, save_picture, truncate

from bctlib.base.errors import BctError
from bctlib.data.photos.files import fault, is_image_name, read_image
from bctlib.data.photos.framing import (
    REFERENCE_POINTS,
    AlignedFaces,
    Boxes,
    WholeImage,
    align_face,
    scaled_rect,
    similarity_transform,
    warp,
)


def test_images_are_rgb_whatever_the_file_holds(tmp_path):
    for name, mode in (("grey.png", "L"), ("palette.png", "P"), ("clear.png", "RGBA"), ("print.jpg", "CMYK")):
        Image.new(mode, (5, 3)).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.shape == (3, 5, 3) and image.dtype == np.uint8
    Image.new("RGB", (1, 1), (200, 10, 30)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").tolist() == [[[200, 10, 30]]]


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("decode", [False, True])
def test_a_truncated_image_is_found_without_and_with_decoding(tmp_path, ending, decode):
    path = save_picture(tmp_path / f"1{ending}", 0)
    assert fault(path, decode) is None
    assert fault(truncate(path), decode) == "is a truncated image"
    with pytest.raises(BctError, match=f"1{ending}: is a truncated image"):
        read_image(path)


def test_other_damage_is_named_too(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not found" * 100)
    assert fault(tmp_path / "empty.jpg") == "is empty (0 bytes)"
    assert fault(tmp_path / "text.jpg") == "is not an image that can be read"
    assert fault(tmp_path / "none.jpg") == "no such image file"
    with pytest.raises(BctError, match="none.jpg: no such image file"):
        read_image(tmp_path / "none.jpg")


def test_bytes_behind_the_end_are_no_damage(tmp_path):
    path = save_picture(tmp_path / "1.jpg", 0)
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert fault(path) is None


def test_image_names():
    assert all(map(is_image_name, ("a.jpg", "a.JPEG", "1.png", "x.y.webp")))
    assert not any(map(is_image_name, ("a.txt", "._a.jpg", "jpg", "a.jpg.part")))


def test_a_known_similarity_is_found_again():
    angle, scale, shift = math.radians(30), 1.7, np.array([4.0, -9.0])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = np.random.default_rng(0).normal(size=(5, 2)) * 20
    found = similarity_transform(points, points @ (scale * rotation).T + shift)
    np.testing.assert_allclose(found, np.column_stack([scale * rotation, shift]), atol=1e-9)


def test_by_hand_a_square_twice_as_large_and_turned():
    # (x, y) -> (-2 y + 3, 2 x + 1): a quarter turn, doubled, shifted
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    target = np.array([[3, 1], [3, 3], [1, 3], [1, 1]])
    np.testing.assert_allclose(similarity_transform(square, target), [[0, -2, 3], [2, 0, 1]], atol=1e-12)


def test_a_mirror_image_is_never_the_answer():
    points = np.array([[0.0, 0], [2, 0], [2, 1], [0, 1]])
    found = similarity_transform(points, points * [-1, 1])
    assert np.linalg.det(found[:, :2]) > 0
    # By hand: of the proper rotations none is better than any other scale c with c = (a - b) / (a + b), where
    # a = 1 and b = 1/4 are the variances along x and y, turned by half a turn or not at all.
    assert math.sqrt(np.linalg.det(found[:, :2])) == pytest.approx((1 - 0.25) / (1 + 0.25))


def test_least_squares_no_similarity_nearby_is_better():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(2, 5, 2)) * 10
    best = similarity_transform(source, target)

    def loss(a, b, x, y):
        return np.sum((source @ np.array([[a, -b], [b, a]]).T + [x, y] - target) ** 2)

    parameters = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    least = loss(*parameters)
    for step in rng.normal(size=(200, 4)) * 0.01:
        assert loss(*(parameters + step)) >= least


@pytest.mark.parametrize(
    ("points", "said"),
    [(np.ones((5, 2)), "coincide"), (np.full((5, 2), np.nan), "not finite"), (np.ones((4, 3)), "expected .k,2. twice")],
)
def test_impossible_landmarks_are_refused(points, said):
    with pytest.raises(BctError, match=said):
        similarity_transform(points, REFERENCE_POINTS)


def test_warping_by_whole_pixels_copies_them_and_leaves_black():
    image = picture(0, 30, 40)
    moved = warp(image, np.array([[1, 0, 3], [0, 1, -2]]), 30, 40)
    np.testing.assert_array_equal(moved[:28, 3:], image[2:, :37])
    assert not moved[28:].any() and not moved[:, :3].any()


def test_warping_between_pixels_is_bilinear():
    image = np.zeros((4, 4, 1), np.uint8)
    image[1, 1] = 200
    # the output pixel (1, 1) looks at (1.25, 1.5): 200 * 0.75 * 0.5
    assert warp(image, np.array([[1, 0, -0.25], [0, 1, -0.5]]), 4, 4)[1, 1, 0] == 75
    # half of what the first row sees at y = -0.5 is beyond the border: black
    assert warp(np.full((4, 4, 1), 100, np.uint8), np.array([[1, 0, 0], [0, 1, 0.5]]), 4, 4)[:, 1, 0].tolist() == [
        50, 100, 100, 100,
    ]  # fmt: skip


def test_a_face_lands_on_the_reference_points():
    angle, scale = 0.2, 1.5
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    landmarks = REFERENCE_POINTS @ linear.T + [30, 12]
    image = np.zeros((240, 240, 3), np.uint8)
    for x, y in landmarks.round().astype(int):
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    aligned = align_face(image, landmarks)
    assert aligned.shape == (112, 112, 3) and aligned.dtype == np.uint8
    for x, y in REFERENCE_POINTS.round().astype(int):
        assert aligned[y, x, 0] == 255
    assert aligned.mean() < 40


def test_an_aligned_crop_is_taken_as_it_is():
    image = picture(3)
    assert WholeImage()(0, image) is image
    assert WholeImage((256, 128))(0, image).shape == (256, 128, 3)
    np.testing.assert_allclose(AlignedFaces(REFERENCE_POINTS[None])(0, image), image, atol=1)


def test_a_rect_follows_the_real_size_x_by_width_y_by_height():
    # stated 200 high and 400 wide; the file is 100 high and 100 wide: x shrinks by 4, y by 2
    assert scaled_rect(np.array([40, 20, 80, 60]), np.array([200, 400]), (100, 100)) == (10, 10, 20, 30)
    assert scaled_rect(np.array([40, 20, 80, 60]), np.array([200, 400]), (100, 100), 0.5) == (5, 0, 25, 40)
    assert scaled_rect(np.array([-9, -9, 999, 999]), np.array([200, 400]), (100, 100)) == (0, 0, 100, 100)


def test_a_box_is_cut_out_and_resized():
    image = np.zeros((100, 100, 3), np.uint8)
    image[10:30, 10:20] = (255, 128, 0)
    boxes = Boxes(np.array([[0, 0, 1, 1], [40, 20, 80, 60]]), np.array([[1, 1], [200, 400]]), (8, 8))
    assert (boxes(1, image) == (255, 128, 0)).all()
    np.testing.assert_array_equal(boxes.take(np.array([1]))(0, image), boxes(1, image))


def test_a_warp_sees_the_same_whatever_lies_far_around():
    rng = np.random.default_rng(2)
    for trial in range(20):
        image = picture(trial, 60, 80)
        points = REFERENCE_POINTS * rng.uniform(0.3, 0.6) + rng.normal(0, 6, (5, 2))
        wide = np.zeros((360, 380, 3), np.uint8)
        wide[150:210, 170:250] = image
        difference = align_face(wide, points + [170, 150]).astype(int) - align_face(image, points)
        assert np.abs(difference).max() <= 1, "black around the image is the same as its border"
