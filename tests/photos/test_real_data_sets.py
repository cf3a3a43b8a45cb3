"""Training sets and pools read by worker processes: order, numbers and faults do not depend on the workers."""

import numpy as np
import pytest
import torch
from real_layouts import picture, save_picture, truncate, write_identity_folders, write_imdb_csv, write_market1501

from bctlib.base.errors import BctError
from bctlib.data.paper.imdb_face import face_boxes, find_pictures, parse_row, read_face_table
from bctlib.data.paper.layouts import person_images, training_index
from bctlib.data.photos.distortion import ColourDistortion, normalise_colour
from bctlib.data.photos.files import PathList, read_image
from bctlib.data.photos.framing import WholeImage
from bctlib.data.photos.index import index_folder
from bctlib.data.photos.reading import ImageList, read_batches, reading_speed
from bctlib.data.photos.sets import ImageFilePool, ijbc_pool, image_folder_set


@pytest.fixture
def faces(tmp_path, store_folder):
    return index_folder(write_identity_folders(tmp_path / "faces"))


def epoch(data, workers, distortion, seed=3):
    """One distorted pass in a random order, as the training loop makes it."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    out = []
    for step, (images, labels) in enumerate(data.batches(order, 5)):
        out.append((distortion(images, torch.Generator().manual_seed(step)), labels))
    return torch.cat([images for images, _ in out]), torch.cat([labels for _, labels in out])


def test_batches_hold_the_images_of_the_order(faces):
    data = image_folder_set(faces, workers=0)
    order = torch.tensor([7, 0, 11])
    ((first, labels), (last, _)) = data.batches(order, 2)
    assert first.shape == (2, 3, 112, 112) and first.dtype == torch.uint8 and len(last) == 1
    assert first.is_contiguous(memory_format=torch.channels_last)
    expected = read_image(faces.path(7))
    np.testing.assert_array_equal(first[0].permute(1, 2, 0).numpy(), expected)
    assert labels.tolist() == [faces.labels[7], 0] and data.classes == faces.classes and len(data) == 12


def test_the_number_of_workers_changes_no_number_and_no_random_stream(faces):
    torch.manual_seed(9)
    state = torch.get_rng_state()
    alone, labels = epoch(image_folder_set(faces, workers=0), 0, ColourDistortion())
    for workers in (1, 2):
        images, same = epoch(image_folder_set(faces, workers=workers), workers, ColourDistortion())
        assert torch.equal(images, alone) and torch.equal(same, labels)
    assert torch.equal(torch.get_rng_state(), state), "reading must not draw from the global generator"


def test_plain_batches_are_the_evaluation_transform(faces):
    data = image_folder_set(faces, workers=0)
    images, labels = (torch.cat(parts) for parts in zip(*data.plain_batches(5), strict=True))
    assert labels.tolist() == faces.labels.tolist()
    expected = (read_image(faces.path(4)) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(images[4].permute(1, 2, 0), expected, atol=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_stops_with_its_name_and_no_traceback(faces, workers):
    truncate(faces.path(5))
    data = image_folder_set(faces, workers=workers)
    with pytest.raises(BctError) as caught:
        list(data.plain_batches(4))
    assert str(caught.value) == f"{faces.path(5)}: is a truncated image"


def test_an_empty_file_is_refused_before_training(tmp_path, faces):
    faces.path(2).write_bytes(b"")
    with pytest.raises(BctError, match="rm2.jpg: is empty"):
        image_folder_set(index_folder(faces.root))


class _Killed(WholeImage):
    def __call__(self, position, image):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_one_sentence(faces):
    images = ImageList(faces.root, faces.paths, _Killed())
    with pytest.raises(BctError, match="a process that reads images below .* died: use fewer than 1 workers"):
        list(read_batches(images, np.arange(4), 2, workers=1))


def test_reading_speed_is_measured(faces):
    images = ImageList(faces.root, faces.paths, WholeImage())
    speed = reading_speed(images, 5, workers=0)
    assert speed.n == 5 and speed.images_per_s > 0 and speed.n_bytes > 0
    assert "images/s" in speed.line() and "5 images" in speed.line()
    assert reading_speed(images, workers=1).n == 12


def colours(n=3, height=20, width=14):
    return torch.from_numpy(np.stack([picture(i, height, width) for i in range(n)])).permute(0, 3, 1, 2)


def test_no_distortion_is_the_evaluation_transform():
    images = colours()
    plain = ColourDistortion(0, (1, 1), 0, 0, 0, (1, 1), (1, 1), 0)(images, torch.Generator())
    torch.testing.assert_close(plain, normalise_colour(images), atol=1e-6, rtol=0)
    still = ColourDistortion(0, (1, 1), 0.0, 1e-9, 0, (1, 1), (1, 1), 0)  # warps, by nothing
    torch.testing.assert_close(still(images, torch.Generator()), normalise_colour(images), atol=1e-5, rtol=0)


def test_a_mirror_flips_left_and_right_of_images_that_are_not_square():
    images = colours()
    flipped = ColourDistortion(0, (1, 1), 0, 1.0, 0, (1, 1), (1, 1), 0)(images, torch.Generator())
    torch.testing.assert_close(flipped, normalise_colour(images.flip(3)), atol=1e-5, rtol=0)


def test_distortion_stays_in_range_differs_by_image_and_repeats_with_its_seed():
    images = colours(1).expand(8, -1, -1, -1)
    one, two, other = (ColourDistortion()(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other) and not torch.equal(one[0], one[1])
    assert one.dtype == torch.float32 and -1 <= one.min() and one.max() <= 1


def test_colour_changes_by_hand():
    grey = torch.full((1, 3, 4, 4), 51, dtype=torch.uint8)  # 0.2
    darker = ColourDistortion(0, (1, 1), 0, 0, 0, (0.5, 0.5), (2, 2), 0)(grey, torch.Generator())
    torch.testing.assert_close(darker, torch.full((1, 3, 4, 4), (0.5 + 0.5 * (0.2 - 0.5) - 0.5) / 0.5))
    red = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    red[:, 0] = 255
    faded = ColourDistortion(0, (1, 1), 0, 0, 0, (1, 1), (1e-9, 1e-9), 0)(red, torch.Generator())
    torch.testing.assert_close(faded, torch.full((1, 3, 2, 2), 0.299 * 2 - 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"rotation": -1}, "rotation is -1"), ({"scale": (2, 1)}, "scale is"), ({"mirror": 1.5}, "mirror is 1.5")],
)
def test_senseless_magnitudes_are_refused(settings, said):
    with pytest.raises(BctError, match=said):
        ColourDistortion(**settings)


def test_grey_images_are_refused_by_the_colour_transforms():
    for transform in (normalise_colour, lambda x: ColourDistortion()(x, torch.Generator())):
        with pytest.raises(BctError, match=r"expected torch.uint8 \[N,3,H,W\]"):
            transform(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_the_csv_is_mapped_to_the_pictures_that_are_there(tmp_path, faces):
    faces.path(0).unlink()
    table = read_face_table(write_imdb_csv(tmp_path / "IMDb-Face.csv"))
    assert len(table) == 12 == table.n_rows and table.lines[0] == 2
    index, found = find_pictures(table, faces.root)
    assert len(index) == 11 and index.classes == faces.classes
    for path, face in zip(index.paths, found, strict=True):
        assert path == f"{table.index[face]}/{table.image[face]}.jpg"
    # the stated rect is in a picture of twice the size: x 20..120 becomes 10..60, y 40..180 becomes 20..90
    framing = face_boxes(table, found, (70, 50))
    image = read_image(index.path(3))
    np.testing.assert_array_equal(framing(3, image), image[20:90, 10:60])
    share = image_folder_set(index, np.array([2, 3]), framing, workers=0)
    (batch,) = [images for images, _ in share.batches(torch.tensor([1]), 1)]
    np.testing.assert_array_equal(
        batch[0].permute(1, 2, 0), read_image(index.root / share.images.paths[1])[20:90, 10:60]
    )


@pytest.mark.parametrize("folder", ["Person_1", "Person 1", "."])
def test_pictures_are_found_under_other_names(tmp_path, folder):
    table = read_face_table(write_imdb_csv(tmp_path / "IMDb-Face.csv"))
    save_picture(tmp_path / "images" / folder / "rm2.jpeg", 0)
    index, found = find_pictures(table, tmp_path / "images")
    assert index.paths[0].endswith("rm2.jpeg")
    assert {table.index[i] for i in found} == ({"nm0000001"} if folder != "." else set(index.classes))


def test_no_picture_at_all_is_refused(tmp_path):
    table = read_face_table(write_imdb_csv(tmp_path / "IMDb-Face.csv"))
    with pytest.raises(BctError, match="holds none of the 12 pictures of IMDb-Face.csv"):
        find_pictures(table, tmp_path / "nowhere")


GOOD = ["Ann Li", "nm1", "rm1", "1 2 3 4", "10 20", "http://x"]


@pytest.mark.parametrize(
    ("place", "cell", "said"),
    [
        (3, "1 2 3", "rect is '1 2 3', expected whole numbers x0 y0 x1 y1"),
        (3, "1 2 1 4", "expected x0 < x1"),
        (3, "1 2 3 x", "rect is '1 2 3 x'"),
        (3, "20 2 30 4", "lies outside its picture of 10 x 20"),
        (4, "10", "height width is '10'"),
        (4, "0 20", "expected 1 pixel or more"),
        (1, "", "index is ''"),
        (2, "../etc", "image is '../etc'"),
    ],
)
def test_a_faulty_line_says_what_is_wrong(tmp_path, place, cell, said):
    assert parse_row(GOOD).stated == (10, 20)
    cells = [cell if i == place else good for i, good in enumerate(GOOD)]
    path = tmp_path / "IMDb-Face.csv"
    path.write_text("name,index,image,rect,height width,url\n" + ",".join(GOOD) + "\n" + ",".join(cells) + "\n")
    with pytest.raises(BctError, match="IMDb-Face.csv, line 3: ") as caught:
        read_face_table(path)
    assert said in str(caught.value)
    faults = []
    assert len(read_face_table(path, faults)) == 1 and faults == [str(caught.value)]


def test_the_csv_may_repeat_a_face_and_share_a_name(tmp_path):
    path = tmp_path / "a.csv"
    rows = [GOOD, GOOD[:3] + ["2 2 3 4"] + GOOD[4:], ["Ann Li", "nm2", *GOOD[2:]]]
    path.write_text("name,index,image,rect,height width,url\n" + "\n".join(",".join(row) for row in rows))
    table = read_face_table(path)
    assert (table.n_rows, len(table), list(table.index)) == (3, 2, ["nm1", "nm2"])
    assert table.rects[0].tolist() == [1, 2, 3, 4], "the first line counts"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BctError, match="line 1: expected the header name,index,image,rect,height width,url"):
        read_face_table(path)


def test_a_pool_is_read_in_order_and_knows_its_content(faces):
    pool = ImageFilePool(faces.root, faces.paths, WholeImage())
    images = torch.cat(list(pool.batches(5, workers=2)))
    assert images.shape == (12, 3, 112, 112) and pool.size == 12
    np.testing.assert_array_equal(images[8].permute(1, 2, 0), read_image(faces.path(8)))
    same = ImageFilePool(faces.root, faces.paths, WholeImage())
    assert pool.key == same.key != ImageFilePool(faces.root, faces.paths, WholeImage((64, 64))).key
    faces.path(4).unlink()
    with pytest.raises(BctError, match=r"no such image file \(1 of 12 images are missing\)"):
        assert ImageFilePool(faces.root, faces.paths, WholeImage()).key


def test_ijbc_crops_are_aligned_and_aligned_ones_taken_as_they_are(tmp_path):
    names = np.array(["1.jpg", "2.jpg"])
    landmarks = np.array([[[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]] * 2) + 6
    with pytest.raises(BctError, match="neither loose_crop/ nor aligned/"):
        ijbc_pool(tmp_path, names, landmarks)
    for name in names:
        save_picture(tmp_path / "loose_crop" / name, int(name[0]), 130, 124)
    (images,) = ijbc_pool(tmp_path, names, landmarks).batches(8, workers=0)
    crop = read_image(tmp_path / "loose_crop" / "2.jpg")[6:118, 6:118]
    assert np.abs(images[1].permute(1, 2, 0).numpy().astype(int) - crop).mean() < 1
    for name in names:
        save_picture(tmp_path / "aligned" / name, 7)
    (images,) = ijbc_pool(tmp_path, names, landmarks).batches(8, workers=0)
    np.testing.assert_array_equal(images[0].permute(1, 2, 0), read_image(tmp_path / "aligned" / "1.jpg"))


def test_landmarks_that_align_nothing_name_their_image(tmp_path):
    save_picture(tmp_path / "loose_crop" / "1.jpg", 0)
    pool = ijbc_pool(tmp_path, np.array(["1.jpg"]), np.zeros((1, 5, 2)))
    with pytest.raises(BctError, match="1.jpg: alignment: all source points coincide"):
        list(pool.batches(1, workers=0))


def test_market1501_labels_are_sorted_and_rows_are_those_of_the_folders(tmp_path):
    root = write_market1501(tmp_path / "12_c3" / "Market-1501-v15.09.15")
    index = training_index(root)
    assert index.classes == ("0002", "0007", "0011") and index.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert image_folder_set(index, framing=WholeImage((256, 128)), workers=0).images[0].shape == (256, 128, 3)
    pool, labels = person_images(root, "gallery", (256, 128))
    assert labels.identity.tolist() == [-1, -1, 0, 0, 3, 3, 5, 5] and labels.camera.tolist() == [1, 2] * 4
    assert list(pool.paths) == sorted(pool.paths) and pool.size == 8
    (images,) = person_images(root, "query", (64, 32))[0].batches(8, workers=0)
    assert images.shape == (4, 3, 64, 32)


def test_market1501_faults_are_named(tmp_path):
    root = write_market1501(tmp_path)
    save_picture(root / "bounding_box_train" / "0000_c1s1_000000_00.jpg", 0)
    with pytest.raises(BctError, match="0000_c1s1_000000_00.jpg: is junk or a distractor"):
        training_index(root)
    save_picture(root / "query" / "somebody.jpg", 0)
    with pytest.raises(BctError, match="'somebody.jpg' is no name like"):
        person_images(root, "query", (256, 128))
    assert list(PathList.of([])) == []
